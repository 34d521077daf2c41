"""`python -m bench.speed.loss`: the localized loss and its gradient, by gpuph and by other libraries on the CPU.

A batch of four maps of 256 x 256 is cut into windows of 64 x 64. The contenders are gpuph; the same loss written with
GUDHI and scipy, window by window; and the loss of Hu et al. 2019 by topolosses, on the same framed windows. All run in
turn in one process on one thread, and gpuph also on all threads. The slow contenders run on some of the windows, and
their times are scaled up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

import gpuph
from bench.speed.gudhi_loss import framed, localized_loss
from bench.speed.inputs import SLOPE, TRUNCATION, predictions
from bench.speed.timing import in_turn, machine

RESULTS = Path(__file__).parents[1] / "results" / "loss.json"
WINDOW = (64, 64)
FEW = 8  # windows for the slow contenders
HEIGHT = gpuph.Linear((SLOPE * 0.6, SLOPE * 0.8))
GPUPH, THREADED, BY_GUDHI, BY_TOPOLOSSES = "gpuph", "gpuph, all threads", "gudhi + scipy", "topolosses, Hu loss"


def prepare_topolosses() -> None:
    """Let topolosses be imported without harm; call this before.

    topolosses imports torchvision, which it does not need here, and which may not be importable. It also brings OpenCV,
    which lets OpenMP choose fewer threads than PyTorch asks for on a busy machine. PyTorch's convolutions then wait
    forever for threads that do not exist.
    """
    os.environ["OPENCV_FOR_OPENMP_DYNAMIC_DISABLE"] = "1"
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # RuntimeError: built for another version of torch
        sys.modules["torchvision"] = ModuleType("torchvision")


def hu_loss() -> torch.nn.Module:
    """Return the Hu loss of topolosses."""
    prepare_topolosses()
    from topolosses.losses import HutopoLoss

    loss_fn: torch.nn.Module = HutopoLoss(filtration_type="sublevel", include_background=True, use_base_loss=False)
    return loss_fn


def compare(pred: Tensor, target: Tensor, all_threads: int, repeats: int) -> dict[str, float]:
    """Return the milliseconds per window of each contender, forward and backward, once their answers agree."""
    loss_fn, hu = gpuph.LocalizedPHLoss(window=WINDOW, height=HEIGHT), hu_loss()
    pred_windows, target_windows = framed(pred, target, WINDOW, HEIGHT)

    def by_gpuph() -> tuple[Tensor, Tensor]:
        x = pred.clone().requires_grad_()
        loss = loss_fn(x, target)
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    def by_gpuph_threaded() -> None:
        torch.set_num_threads(all_threads)
        by_gpuph()
        torch.set_num_threads(1)

    def by_gudhi(windows: int = FEW) -> tuple[Tensor, Tensor]:
        x = pred.clone().requires_grad_()
        loss = localized_loss(*(y[:windows] for y in framed(x, target, WINDOW, HEIGHT)))
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    def by_topolosses() -> None:
        x = (pred_windows[:FEW, None] / TRUNCATION).requires_grad_()
        hu(x, target_windows[:FEW, None] / TRUNCATION).backward()

    for ours, theirs in zip(by_gpuph(), by_gudhi(len(pred_windows)), strict=True):
        torch.testing.assert_close(ours, theirs)
    # Each run of gpuph follows another library's, so that its caches are as cold as after a network.
    runs = {GPUPH: by_gpuph, BY_GUDHI: by_gudhi, THREADED: by_gpuph_threaded, BY_TOPOLOSSES: by_topolosses}
    windows = dict.fromkeys(runs, len(pred_windows)) | {BY_GUDHI: FEW, BY_TOPOLOSSES: FEW}
    return {name: 1e3 * time / windows[name] for name, time in in_turn(runs, repeats).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="runs that the median is of (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/loss.json")
    options = parser.parse_args()
    all_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    each = compare(*predictions(4), all_threads, options.repeats)
    print("milliseconds per window of 64 x 64, forward and backward, and multiples of gpuph's time on one thread")
    for name, time in each.items():
        print(f"  {name:<22}{time:>10.3f}{time / each[GPUPH]:>10.1f}")
    if options.save:
        results = {"machine": machine(), "all threads": all_threads, "milliseconds a window": each}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
