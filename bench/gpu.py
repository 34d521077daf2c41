"""`python -m bench.gpu`: gpuph on a GPU, its answers against the CPU's first, then its times against GUDHI's.

Windows of 64 x 64 and volumes of 32^3 and 64^3, diagrams in all dimensions, and the loss of images, forward and
backward. A time is the median of many runs between two events of the device, with its cache emptied before each.
"replayed" is the same from a CUDA graph, without the host's part, and with the cache as the last run left it. The
bandwidth limit is the time to read the input and write the result once, as fast as this device copies memory; the
fraction is of the replayed time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import gpuph
from gpuph import ops

from . import inputs3
from .inputs import KINDS, predictions, tiles
from .timing import in_turn, machine

RESULTS = Path(__file__).parent / "results" / "gpu.json"
SIZE = 64
COLUMNS = SIZE**2 // 4
WINDOWS = (64, 256, 1024, 4096)
VOLUMES = {32: (16, 64, 256), 64: (8, 32)}  # numbers of windows, by their size
GUDHI_WINDOWS, GUDHI_VOLUMES = 64, 2
COPIED = 2**30

Timer = Callable[[Callable[[], object]], float]  # seconds of a call
Row = dict[str, float | int | str]


def eager(run: Callable[[], object]) -> float:
    """Median seconds of a call, of the device and of whatever of the host it has to wait for."""
    from triton.testing import do_bench

    milliseconds: float = do_bench(run, return_mode="median")
    return milliseconds / 1e3


def replayed(run: Callable[[], object]) -> float:
    """Median seconds of a call that is recorded in a CUDA graph and replayed."""
    from triton.testing import do_bench_cudagraph

    milliseconds: float = do_bench_cudagraph(run, return_mode="median")
    return milliseconds / 1e3


def check_pairs(windows: Tensor) -> None:
    """Raise unless the device's pairs of windows (N, *window), given on the CPU, are the CPU's bit for bit."""
    for top in (True, False):
        arguments = [*range(windows.dim() - 1)], top, 0.0, windows[0].numel() // 4
        with gpuph.use_kernels("cpu"):
            expected = ops.persistence(windows, *arguments)
        found = ops.persistence(windows.cuda(), *arguments)
        for name, ours, theirs in zip(("status", "index", "value", "count"), found, expected, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                _same(f"{name} of the construction {'T' if top else 'V'}", a, b)


def check_loss(pred: Tensor, target: Tensor) -> None:
    """Raise unless the device's matching, loss and gradient of maps (B, 1, H, W), given on the CPU, are the CPU's.

    The matching bit for bit, and loss and gradient to rounding and the same in every run.
    """

    def match(a: Tensor, b: Tensor) -> gpuph.Matching:
        loops = [gpuph.persistence(x[:, 0], dims=(1,), capacity=COLUMNS)[1] for x in (a, b)]
        return gpuph.match(*loops)

    with gpuph.use_kernels("cpu"):
        matching, (loss, grad) = match(pred, target), step(pred, target)()
    found = match(pred.cuda(), target.cuda())
    _same("partners of the prediction's loops", found.partner_a, matching.partner_a)
    _same("partners of the truth's loops", found.partner_b, matching.partner_b)
    run = step(pred.cuda(), target.cuda())
    first, second = run(), run()
    for mine, other in zip(first, (loss, grad), strict=True):
        torch.testing.assert_close(mine.cpu(), other, rtol=1e-5, atol=1e-6)
    for name, a, b in zip(("the loss", "its gradient"), first, second, strict=True):
        _same(f"{name}, in two runs", a, b)


def _same(name: str, a: Tensor, b: Tensor) -> None:
    if not torch.equal(a.cpu(), b.cpu()):
        raise AssertionError(f"{name}: the device's answer differs")


def step(pred: Tensor, target: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    """A function that computes the loss of maps (B, 1, H, W) and its gradient."""
    loss_fn = gpuph.LocalizedPHLoss(SIZE).eval()
    pred = pred.clone().requires_grad_()

    def run() -> tuple[Tensor, Tensor]:
        loss = loss_fn(pred, target)
        return loss.detach(), torch.autograd.grad(loss, pred)[0]

    return run


def bandwidth(timer: Timer, size: int = COPIED) -> float:
    """Bytes a second, read and written, of a large copy on the device."""
    source = torch.zeros(size, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * size / timer(lambda: target.copy_(source))


def time_persistence(windows: Tensor, bytes_a_second: float, gudhi: float, timer: Timer, replay: Timer) -> Row:
    """Time the diagrams of windows (N, *window) on the device; gudhi : seconds a window."""
    windows = windows.cuda()
    results = [part for diagram in gpuph.persistence(windows).values() for part in vars(diagram).values()]
    moved = sum(tensor.nbytes for tensor in (windows, *results))
    seconds, on_device = (take(lambda: gpuph.persistence(windows)) for take in (timer, replay))
    n = len(windows)
    return {
        "windows": n,
        "us": 1e6 * seconds,
        "us, replayed": 1e6 * on_device,
        "windows a second": n / seconds,
        "times faster than gudhi": gudhi * n / seconds,
        "of the bandwidth limit": moved / bytes_a_second / on_device,
    }


def time_loss(pred: Tensor, target: Tensor, timer: Timer) -> Row:
    """Time the loss of maps (B, 1, H, W) and its gradient."""
    n = pred.numel() // SIZE**2
    seconds = timer(step(pred.cuda(), target.cuda()))
    return {"windows": n, "us": 1e6 * seconds, "windows a second": n / seconds}


def gudhi_seconds(windows: Tensor) -> float:
    """Seconds a window of GUDHI on one thread of the CPU: of images its fastest way, which gives values only."""
    if windows.dim() == 4:
        from .persistence3d import cofaces

        return in_turn({"gudhi": lambda: cofaces(windows)}, 3)["gudhi"] / len(windows)
    from .persistence import VALUES_ONLY, contenders

    return in_turn({"gudhi": lambda: contenders()[VALUES_ONLY](windows)})["gudhi"] / len(windows)


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows of one kind."""
    print(f"\n{title}\n " + "".join(f"{name:>25}" for name in rows[0]))
    for row in rows:
        print(
            " " + "".join(f"{value:>25.4g}" if isinstance(value, float) else f"{value:>25}" for value in row.values())
        )


def measure(
    sizes: Sequence[int],
    volumes: Mapping[int, Sequence[int]],
    timer: Timer,
    replay: Timer,
    gudhi: Callable[[Tensor], float],
    copied: int = COPIED,
) -> dict[str, object]:
    """Check and time everything on batches of so many windows, and of so many volumes by their size, and print it."""
    for make in KINDS.values():
        check_pairs(make(min(sizes), SIZE))
    for make in inputs3.KINDS.values():
        check_pairs(make(1, min(volumes)))
    check_loss(*(tiles(maps, SIZE)[: min(sizes)] for maps in predictions(max(min(sizes) // 16, 1))))
    print("pairs and matchings are the CPU's, bit for bit; loss and gradient to rounding")

    bytes_a_second = bandwidth(timer, copied)
    print(f"device memory: {bytes_a_second / 1e9:.0f} GB/s, copying")
    results: dict[str, object] = {"bytes a second": bytes_a_second}

    def time_batches(kind: str, windows: Tensor, numbers: Sequence[int], few: int) -> None:
        theirs = gudhi(windows[:few])
        rows = [time_persistence(windows[:n], bytes_a_second, theirs, timer, replay) for n in numbers]
        show(f"persistence of {kind}; gudhi: {1e6 * theirs:.0f} us a window", rows)
        results[kind] = {"gudhi us a window": 1e6 * theirs, "rows": rows}

    for kind, make in KINDS.items():
        time_batches(kind, make(max(sizes), SIZE), sizes, GUDHI_WINDOWS)
    for size, numbers in volumes.items():
        for kind, make in inputs3.KINDS.items():
            time_batches(f"{kind}, {size}^3", make(max(numbers), size), numbers, GUDHI_VOLUMES)
    pred, target = predictions(max(max(sizes) // 16, 1))
    rows = [time_loss(pred[: max(n // 16, 1)], target[: max(n // 16, 1)], timer) for n in sizes]
    show("loss, forward and backward; windows of the prediction", rows)
    results["loss"] = rows
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/results/gpu.json")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench.gpu needs a GPU, and PyTorch finds none here.")
    print(torch.cuda.get_device_name())
    results = {"machine": machine(), **measure(WINDOWS, VOLUMES, eager, replayed, gudhi_seconds)}
    if options.save:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
