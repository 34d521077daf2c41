"""Print what the cost model counts and predicts."""

from __future__ import annotations

from typing import Any

# Aims for batches of `cost.EXTRAPOLATED` windows or more. Times are multiples of the time to read the inputs and write
# the results once.
MOST_TRACED, MOST_TIME, MOST_INSTRUCTIONS, MOST_SCRATCH = 4, 10, 80, 24


def show(title: str, case: dict[str, Any]) -> None:
    """Print the counts and times of a case."""
    print(
        f"\n{title}, {case['windows']} windows: counts per pixel, and microseconds by throughput alone and with latency"
    )
    columns = ("instructions", "integer", "read", "written", "distinct", "atomics", "barriers", "throughput", "latency")
    print(f"  {'stage':<17}" + "".join(f"{column:>13}" for column in columns))
    counted = ["instructions", "integer instructions", "sectors read", "sectors written", "distinct sectors"]
    counted += ["atomics", "barriers"]
    for name, stage in (case["stages"] | case["parts of stages"]).items():
        numbers = "".join(f"{stage[what]:>13.3f}" for what in counted)
        latent = f"{stage['us with latency']:>13.2f}   {stage['bound with latency']}" if name in case["stages"] else ""
        print(f"  {name:<17}{numbers}{stage['predicted us']:>13.2f}{latent}")


def show_aims(title: str, case: dict[str, Any]) -> None:
    """Print the prediction for a larger batch, and for images compare it with the aims."""
    key = next(key for key in case if key.startswith("predicted"))
    whole, stages = case[key], case["stages"]
    slowest = max(stages, key=lambda name: stages[name][key.replace("predicted,", "us with latency,")])
    print(f"\n{title}: {key}, {whole['us with latency']:.0f} us with latency; the longest stage is {slowest}")
    print(f"  {whole['us']:.0f} us by throughput alone")
    print(
        f"  ({case['input and result bytes']:.1f} bytes per pixel, read and written once: {whole['ideal us']:.0f} us)"
    )
    if "gradient" not in stages:
        times = whole["times the ideal, with latency"]
        print(f"  {times:.1f} times that, with {case['scratch bytes']:.0f} bytes of scratch per pixel")
        return
    for what, value, most in (
        (
            "gradient and trace, throughput, times the ideal",
            whole["gradient and trace, times the ideal"],
            MOST_TRACED,
        ),
        ("everything, throughput, times the ideal", whole["times the ideal"], MOST_TIME),
        ("everything, with latency, times the ideal", whole["times the ideal, with latency"], MOST_TIME),
        ("instructions per pixel, gradient", stages["gradient"]["instructions"], MOST_INSTRUCTIONS),
        ("bytes of scratch per pixel", case["scratch bytes"], MOST_SCRATCH),
    ):
        print(f"  {what:<50}{value:>8.1f}   aim: {most:>3}   {'reached' if value < most else 'MISSED'}")
