"""`python -m bench.loss`: the loss, forward and backward, against what there was before, on the CPU.

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

import gudhi
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import gpuph
from gpuph.windows import cut_windows, frame

from .inputs import SLOPE, TRUNCATION, predictions
from .timing import in_turn, machine

RESULTS = Path(__file__).parent / "results" / "loss.json"
WINDOW = (64, 64)
HEIGHT = gpuph.Linear((SLOPE * 0.6, SLOPE * 0.8))
GPUPH, THREADED, BY_GUDHI, BY_TOPOLOSSES = "gpuph", "gpuph, all threads", "gudhi + scipy", "topolosses, Hu loss"


def framed(x: Tensor, lowest: Tensor | None = None) -> Tensor:
    """Windows (N, 66, 66) with the height function and the frame."""
    windows = cut_windows(x[:, 0], WINDOW, WINDOW)
    windows = windows + HEIGHT(1, WINDOW, windows, None)
    return frame(windows, windows.detach().flatten(1).amin(dim=1) if lowest is None else lowest)


def by_gudhi(pred: Tensor, target: Tensor) -> Tensor:
    """The localized loss without gpuph, of framed windows (N, 66, 66): GUDHI's cubical complex, scipy's assignment."""
    return torch.stack([_cost(_loops(a), _loops(b)) for a, b in zip(pred, target, strict=True)]).mean()


def _loops(window: Tensor) -> Tensor:
    """Births and deaths (k, 2) of the loops of a window, differentiable."""
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=window.detach().double().numpy())
    complex_.compute_persistence(homology_coeff_field=2, min_persistence=0)
    pairs = complex_.cofaces_of_persistence_pairs()[0]
    pixels = pairs[1] if len(pairs) > 1 else np.zeros((0, 2), np.int64)
    columns, rows = np.divmod(pixels, window.shape[0])  # GUDHI counts down the columns
    return window[torch.from_numpy(rows), torch.from_numpy(columns)]


def _cost(a: Tensor, b: Tensor) -> Tensor:
    """Cost of the optimal matching of two diagrams, by the clipped matrix of what each pair saves."""
    alone_a, alone_b = ((x[:, 1] - x[:, 0]) ** 2 / 2 for x in (a, b))
    apart = (a[:, None] - b[None]).square().sum(dim=-1)
    saving = (alone_a[:, None] + alone_b[None] - apart).clamp(min=0)
    rows, columns = linear_sum_assignment(saving.detach().numpy(), maximize=True)
    return alone_a.sum() + alone_b.sum() - saving[rows, columns].sum()


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
    loss_fn = gpuph.LocalizedPHLoss(WINDOW, height=HEIGHT)
    lowest = torch.minimum(*(cut_windows((x[:, 0]), WINDOW, WINDOW) for x in (pred, target)))
    lowest = (lowest + HEIGHT(1, WINDOW, lowest, None)).flatten(1).amin(dim=1)
    n = len(lowest)
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
        loss = by_gudhi(framed(x, lowest)[:windows], framed(target, lowest)[:windows])
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    hu = hu_loss()

    def hus() -> None:
        x = (framed(pred, lowest)[:few, None] / TRUNCATION).requires_grad_()
        hu(x, framed(target, lowest)[:few, None] / TRUNCATION).backward()

    for mine, other in zip(ours(), theirs(n), strict=True):
        torch.testing.assert_close(mine, other)
    seconds = in_turn({GPUPH: ours, THREADED: threaded, BY_GUDHI: theirs, BY_TOPOLOSSES: hus}, options.repeats)
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
