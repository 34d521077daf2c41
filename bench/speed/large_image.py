"""`python -m bench.speed.large_image`: the diagrams of one large image, and of the same image cut into small windows.

Images of 4096 x 4096 pixels: a distance map of roads with a ramp, a smooth field and noise, in both dimensions, on all
threads. Both are timed in turn in one process. Windows of 64 x 64 fit into a core's cache, and a large image does not.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gpuph
from bench.speed import inputs
from bench.speed.timing import in_turn, machine, peak_memory

RESULTS = Path(__file__).parents[1] / "results" / "large_image.json"
WINDOW = 64
DIRECTION = (0.8, 0.6)  # of the ramp


def roads(n: int, size: int) -> Tensor:
    """Return n distance maps of Helsinki's roads, repeated side by side, plus a ramp: (n, size, size), float32."""
    distances = gpuph.truncated_distance_map(inputs.road_mask(), inputs.TRUNCATION)[0]
    times = [-(-size // side) for side in distances.shape[1:]]
    ramp = inputs.SLOPE * sum(
        part * torch.arange(size, dtype=torch.float32).view(shape)
        for part, shape in zip(DIRECTION, ((-1, 1), (1, -1)), strict=True)
    )
    return distances.repeat(n, *times)[:, :size, :size] + ramp


KINDS: dict[str, Callable[[int, int], Tensor]] = {"roads": roads, "smooth": inputs.smooth, "noise": inputs.noise}


def measure(kind: str, size: int, repeats: int) -> dict[str, Any]:
    """Return the nanoseconds per pixel of the whole image and of its windows, and the bytes per pixel of the former."""
    image = KINDS[kind](1, size)
    windows = inputs.tiles(image[None], WINDOW)[:, 0].contiguous()
    runs = {
        "image": functools.partial(gpuph.persistence, image),
        "windows": functools.partial(gpuph.persistence, windows),
    }
    gpuph.persistence(image[:, : size // 2, : size // 2])  # compiles
    grown = peak_memory(runs["image"])  # before other runs, which may leave memory to the process
    times = in_turn(runs, repeats)
    each = {name: round(1e9 * seconds / image.numel(), 2) for name, seconds in times.items()}
    return {
        "kind": kind,
        "size": size,
        "nanoseconds a pixel": each,
        "image / windows": round(times["image"] / times["windows"], 2),
        "bytes a pixel": round(grown / image.numel(), 1),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "| image | whole, ns a pixel | in windows, ns a pixel | whole / windows | bytes a pixel |",
        "|---" * 5 + "|",
    ]
    for row in rows:
        whole, windows = (f"{row['nanoseconds a pixel'][name]:.1f}" for name in ("image", "windows"))
        lines.append(
            f"| {row['kind']}, {row['size']}^2 | {whole} | {windows} | {row['image / windows']:.2f} "
            f"| {row['bytes a pixel']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096, help="side of the images (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs whose median is taken (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/large_image.json and .md")
    options = parser.parse_args()
    rows = [measure(kind, options.size, options.repeats) for kind in KINDS]
    print(table(rows))
    if options.save:
        RESULTS.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(PAGE.format(table=table(rows)))


PAGE = """# A large image

What does a pixel cost in one large image, beside the same image cut into windows of 64 x 64? Diagrams in both
dimensions, on all threads. Memory is the growth of the process at its peak, diagrams included. Source:
`python -m bench.speed.large_image --save`, [large_image.json](large_image.json).

{table}

What a large image costs beyond its windows is to join the classes of its tiles and to sort all pairs, on one thread per
dimension. Noise has the most of both: see [tiles](../../kernels/README.md#tiles-large-images-on-the-cpu).
"""


if __name__ == "__main__":
    main()
