"""`python -m bench.speed.loss`: the loss, forward and backward, against what there was before, on the CPU.

A batch of 4 x 256 x 256 in windows of 64 x 64: gpuph; the same loss written with GUDHI and scipy, window by window; and
the loss of Hu et al. 2019 as topolosses has it, on the same framed windows. All in turn in one process, on one thread,
and gpuph also on all; the slow ones on some of the windows, with their times scaled up.
"""

from __future__ import annotations

import argparse
import json
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
HEIGHT = gpuph.Linear((SLOPE * 0.6, SLOPE * 0.8))
GPUPH, THREADED, BY_GUDHI, BY_TOPOLOSSES = "gpuph", "gpuph, all threads", "gudhi + scipy", "topolosses, Hu loss"


def hu_loss() -> torch.nn.Module:
    """The Hu loss of topolosses, alone. Its package imports torchvision, which it does not need here."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # a build for another torch
        sys.modules["torchvision"] = ModuleType("torchvision")
    from topolosses.losses import HutopoLoss

    loss_fn: torch.nn.Module = HutopoLoss(filtration_type="sublevel", include_background=True, use_base_loss=False)
    return loss_fn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="the median of so many runs (%(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/loss.json")
    options = parser.parse_args()
    all_threads = torch.get_num_threads()
    torch.set_num_threads(1)

    pred, target = predictions(4)
    loss_fn = gpuph.LocalizedPHLoss(window=WINDOW, height=HEIGHT)
    pred_windows, target_windows = framed(pred, target, WINDOW, HEIGHT)
    n = len(pred_windows)
    few = 8

    def ours() -> tuple[Tensor, Tensor]:
        x = pred.clone().requires_grad_()
        loss = loss_fn(x, target)
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    def threaded() -> None:
        torch.set_num_threads(all_threads)
        ours()
        torch.set_num_threads(1)

    def theirs(windows: int = few) -> tuple[Tensor, Tensor]:
        x = pred.clone().requires_grad_()
        loss = localized_loss(*(y[:windows] for y in framed(x, target, WINDOW, HEIGHT)))
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    hu = hu_loss()

    def hus() -> None:
        x = (pred_windows[:few, None] / TRUNCATION).requires_grad_()
        hu(x, target_windows[:few, None] / TRUNCATION).backward()

    for mine, other in zip(ours(), theirs(n), strict=True):
        torch.testing.assert_close(mine, other)
    # Both of ours come after another's, and find as cold a cache as after a network.
    seconds = in_turn({GPUPH: ours, BY_GUDHI: theirs, THREADED: threaded, BY_TOPOLOSSES: hus}, options.repeats)
    each = {name: 1e3 * seconds[name] / (few if name in (BY_GUDHI, BY_TOPOLOSSES) else n) for name in seconds}
    print(f"milliseconds a window of 64 x 64, forward and backward, {n} windows, and times gpuph on one thread")
    for name, time in each.items():
        print(f"  {name:<22}{time:>10.3f}{time / each[GPUPH]:>10.1f}")
    if options.save:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(
            json.dumps({"machine": machine(), "all threads": all_threads, "milliseconds a window": each}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    main()
