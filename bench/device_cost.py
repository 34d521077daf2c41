"""`python -m bench.device_cost`: what the Triton kernels do for a pixel, and the time that predicts on an H100.

The compiled kernels run as PTX on the CPU (tests/ptxrun), which counts, by stage, a stage being a kernel: instructions
of threads, sectors of 32 bytes that warps read and write, atomics and barriers. No GPU takes part. The counts are of
PTX, before its assembler merges and splits instructions; those of `merge` vary a little with the schedule. Atomics and
barriers are counted only: what they take is not published.

The times are predictions from the counts and the limits below. A stage takes as long as the tightest of its limits,
and LAUNCH: each distinct sector comes from memory once, or goes there; every sector that a warp asks for comes from
the L2, none from a nearer cache; nothing waits for an answer, and work is spread evenly, but for the longest thread.
PyTorch's own launches are not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gpuph

from .inputs import KINDS, predictions, tiles
from .timing import machine

RESULTS = Path(__file__).parent / "results" / "device_cost.json"
PTXRUN = str(Path(__file__).parents[1] / "tests" / "ptxrun")
BATCHES = (16, 64)
EXTRAPOLATED = 1024
SIZE = 64

# An H100 SXM, a second. From "NVIDIA H100 Tensor Core GPU Architecture" and the H100's data sheet: 3.35 TB/s; 132
# multiprocessors with 66.9 TFLOPS in float32 and 33.5 TOPS in int32, where a multiply-add is two: 128 lanes of floats,
# or of any instructions, and 64 of integers, at 1.98 GHz.
BANDWIDTH = 3.35e12
ISSUE = 66.9e12 / 2
INTEGERS = 33.5e12 / 2
CLOCK = 1.98e9  # a warp issues one instruction at a time
# From "NVIDIA A100 Tensor Core GPU Architecture", as the H100's is not published: 5,120 bytes a cycle of 1.41 GHz.
L2 = 5120 * 1.41e9
# From "Getting Started with CUDA Graphs", NVIDIA's technical blog: a kernel of 2.9 us takes 3.8 us where launches
# overlap (V100). Host code that cannot keep ahead costs more.
LAUNCH = 1e-6

# Aims, of batches of EXTRAPOLATED windows and more: times in units of reading the input and writing the result once.
TRACED = ("gradient", "merge")  # merge traces as it goes
MOST_TRACED, MOST_TIME, MOST_INSTRUCTIONS, MOST_SCRATCH = 4, 10, 80, 24

Counts = dict[str, float]


def count(run: Callable[[], object]) -> dict[str, Counts]:
    """What each stage of a function that uses gpuph on CPU tensors does, by its kernel's name, in order of launch."""
    if PTXRUN not in sys.path:
        sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    with ptxrun.triton.emulated(checks=(), schedule="warp", resident_blocks=16) as emulation, as_on_a_device():
        run()
    stages: dict[str, Counts] = {}
    for launch in emulation.launches:
        counts = {
            "launches": 1,
            "instructions": launch.instructions,
            "integer instructions": launch.classes["int"],
            "sectors read": launch.global_sectors_read,
            "sectors written": launch.global_sectors_written,
            "sectors": launch.global_sectors,
            "distinct sectors": launch.touched_sectors_read + launch.touched_sectors_written,
            "atomics": launch.classes["atomic_global"] + launch.classes["atomic_shared"],
            "barriers": launch.barriers_per_block * launch.grid[0] * launch.grid[1] * launch.grid[2],
            "longest thread": launch.max_thread_instructions,
        }
        stage = stages.setdefault(launch.kernel.strip("_"), dict.fromkeys(counts, 0))
        for name, n in counts.items():
            stage[name] += n
    return stages


@contextlib.contextmanager
def as_on_a_device() -> Iterator[None]:
    """Send CPU tensors through the Triton kernels, with the shapes that tensors on a device have."""
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("gpuph") and hasattr(module, "data_decides"):
                stack.enter_context(mock.patch.object(module, "data_decides", lambda x: False))
        stack.enter_context(gpuph.use_kernels("triton"))
        yield


def limits(counts: Counts, times: float = 1.0) -> dict[str, float]:
    """Seconds that a stage takes at least, by each limit, with a batch so many times larger."""
    return {
        "memory": times * 32 * counts["distinct sectors"] / BANDWIDTH,
        "L2": times * 32 * counts["sectors"] / L2,
        "instructions": times * counts["instructions"] / ISSUE,
        "integers": times * counts["integer instructions"] / INTEGERS,
        "longest thread": counts["longest thread"] / CLOCK,
    }


def predicted(counts: Counts, times: float = 1.0) -> tuple[float, str]:
    """Predicted seconds of a stage, with a batch so many times larger, and which limit it is."""
    seconds, bound = max((seconds, name) for name, seconds in limits(counts, times).items())
    return seconds + LAUNCH * counts["launches"], bound


class Scratch(TorchDispatchMode):
    """Watch what is allocated: `bytes` is the most there was at a time of what is gone by now."""

    def __init__(self) -> None:
        super().__init__()
        self._before: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._new: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._history: list[list[tuple[weakref.ref[torch.UntypedStorage], int]]] = []

    @property
    def bytes(self) -> int:
        return max(sum(size for storage, size in live if storage() is None) for live in self._history)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._before.update(storage for storage in _storages((args, kwargs)) if storage not in self._new)
        if func.namespace == "gpuph":  # look into it, and not only at what it returns
            with self:
                out = func.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CPU), *args, **kwargs)
        else:
            out = func(*args, **kwargs)
        self._new.update(storage for storage in _storages(out) if storage not in self._before)
        self._history.append([(weakref.ref(storage), storage.nbytes()) for storage in self._new])
        return out


def _storages(tree: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def cost(run: Callable[[], list[Tensor]], inputs: list[Tensor], pixels: int, windows: int) -> dict[str, Any]:
    """Count what a function does that makes results of inputs, a pixel, and predict its time.

    The ideal is the time to read the inputs and write the results once.
    """
    results: list[Tensor] = []
    with Scratch() as scratch:
        stages = count(lambda: results.extend(run()))
    moved = sum(tensor.nbytes for tensor in (*inputs, *results))
    times = EXTRAPOLATED / windows
    ideal = times * moved / BANDWIDTH
    later = {name: predicted(counts, times) for name, counts in stages.items()}
    whole = sum(seconds for seconds, _ in later.values())
    table = {}
    for name, counts in stages.items():
        seconds, bound = predicted(counts)
        table[name] = {
            **{what: n if what in ("launches", "longest thread") else n / pixels for what, n in counts.items()},
            "predicted us": 1e6 * seconds,
            "bound": bound,
            f"predicted us, {EXTRAPOLATED} windows": 1e6 * later[name][0],
            f"bound, {EXTRAPOLATED} windows": later[name][1],
        }
    return {
        "windows": windows,
        "stages": table,
        "scratch bytes": scratch.bytes / pixels,
        "input and result bytes": moved / pixels,
        f"predicted, {EXTRAPOLATED} windows": {
            "us": 1e6 * whole,
            "ideal us": 1e6 * ideal,
            "times the ideal": whole / ideal,
            "gradient and trace, times the ideal": sum(later[name][0] for name in TRACED) / ideal,
        },
    }


def persistence_cost(windows: Tensor) -> dict[str, Any]:
    """Cost of the diagrams of windows (N, H, W), in dimensions 0 and 1."""

    def run() -> list[Tensor]:
        return [part for diagram in gpuph.persistence(windows).values() for part in vars(diagram).values()]

    return cost(run, [windows], windows.numel(), len(windows))


def loss_cost(pred: Tensor, target: Tensor) -> dict[str, Any]:
    """Cost of the loss of maps (B, 1, H, W), and of its gradient, which is the result.

    Windows are those of both maps. What has no Triton kernel yet runs as on the CPU and counts nothing.
    """
    pred = pred.clone().requires_grad_()
    loss_fn = gpuph.LocalizedPHLoss(SIZE).eval()
    loss_fn(pred, target)  # draws the height function

    def run() -> list[Tensor]:
        return list(torch.autograd.grad(loss_fn(pred, target), pred))

    pixels = pred.numel() + target.numel()
    return cost(run, [pred, target], pixels, pixels // SIZE**2)


def show(title: str, case: dict[str, Any]) -> None:
    """Print the table of a case."""
    print(f"\n{title}, {case['windows']} windows of {SIZE} x {SIZE}: counts a pixel, and predicted microseconds")
    columns = ("instructions", "integer", "read", "written", "distinct", "atomics", "barriers", "us", "bound by")
    print(f"  {'stage':<10}" + "".join(f"{column:>13}" for column in columns))
    counted = ["instructions", "integer instructions", "sectors read", "sectors written", "distinct sectors"]
    counted += ["atomics", "barriers"]
    for name, stage in case["stages"].items():
        numbers = "".join(f"{stage[what]:>13.3f}" for what in counted)
        print(f"  {name:<10}{numbers}{stage['predicted us']:>13.2f}{stage['bound']:>16}")


def show_aims(title: str, case: dict[str, Any]) -> None:
    """Print a case's prediction for EXTRAPOLATED windows, against the aims."""
    whole = case[f"predicted, {EXTRAPOLATED} windows"]
    stages = case["stages"]
    slowest = max(stages, key=lambda name: stages[name][f"predicted us, {EXTRAPOLATED} windows"])
    print(f"\n{title}: prediction for {EXTRAPOLATED} windows, {whole['us']:.0f} us, longest in {slowest}")
    print(f"  ({case['input and result bytes']:.1f} bytes a pixel, read and written once: {whole['ideal us']:.0f} us)")
    for what, value, most in (
        ("gradient and trace, times the ideal", whole["gradient and trace, times the ideal"], MOST_TRACED),
        ("everything, times the ideal", whole["times the ideal"], MOST_TIME),
        ("instructions a pixel, gradient", stages["gradient"]["instructions"], MOST_INSTRUCTIONS),
        ("bytes of scratch a pixel", case["scratch bytes"], MOST_SCRATCH),
    ):
        print(f"  {what:<38}{value:>8.1f}   aim: {most:>3}   {'reached' if value < most else 'MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/results/device_cost.json")
    options = parser.parse_args()
    if not shutil.which("gcc") or sys.platform != "linux":
        sys.exit("bench.device_cost runs PTX on the CPU, which needs Linux and gcc.")
    cases: dict[str, list[dict[str, Any]]] = {}
    for kind, make in KINDS.items():
        cases[f"persistence of {kind}"] = [persistence_cost(make(n, SIZE)) for n in BATCHES]
    pred, target = (tiles(maps, SIZE) for maps in predictions(2))
    cases["loss and its gradient, of predictions and truth"] = [
        loss_cost(pred[: n // 2], target[: n // 2]) for n in BATCHES
    ]
    for title, batches in cases.items():
        for case in batches:
            show(title, case)
    for title, batches in cases.items():
        show_aims(title, batches[-1])
    if options.save:
        assumed = {
            "bandwidth": BANDWIDTH,
            "L2": L2,
            "issue": ISSUE,
            "integers": INTEGERS,
            "clock": CLOCK,
            "launch": LAUNCH,
        }
        results = {"machine": machine(), "predicted for": "H100 SXM", "limits a second": assumed, "cases": cases}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
