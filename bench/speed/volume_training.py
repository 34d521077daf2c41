"""`python -m bench.speed.volume_training`: training steps on large batches of volumes, and the loss's share of them.

A step is one of `bench.train --data neurons`: forward pass, backward pass and optimiser of the small network, here on
64 windows of 32^3, and on 8 of 64^3 and of 96^3. A short training precedes, so that the predictions are a network's.
Steps are timed with MSE + gpuph's loss and with MSE alone. A step with the loss written with GUDHI and scipy is taken
to last as long as the step with MSE alone and that loss together. That loss runs window by window on one thread; it is
timed on the first few windows and scaled up. All run in turn in one process, after their answers are compared.

The memory of a loss, forward and backward, is the growth of a fresh process at its peak, in bytes per voxel of the
batch. The process holds prediction and truth before. The loss with GUDHI and scipy frees each window when it is done,
and is measured on a single one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import gpuph
from bench.speed.gudhi_loss import framed, localized_loss
from bench.speed.timing import in_turn, machine, peak_memory
from bench.train.crops import Crops
from bench.train.network import PRESETS, Branch, plus
from bench.train.neurons import SLOPE, hemibrain

RESULTS = Path(__file__).parents[1] / "results" / "volume_training.json"
BATCHES = {32: 64, 64: 8, 96: 8}  # windows in a batch, by size
FEW = {32: 8, 64: 2, 96: 1}  # windows for the loss with GUDHI and scipy
REPEATS = {32: 5, 64: 5, 96: 3}
PRESET = PRESETS["small"][3]
TRAINED = 100  # steps before the measurements, with MSE alone
HEIGHT = gpuph.Linear((SLOPE * 2 / 3, SLOPE * 2 / 3, SLOPE / 3))
STEP, PLAIN = "step with MSE + loss", "step with MSE alone"
LOSS, ONE_THREAD, BY_GUDHI = "loss", "loss, one thread", "loss with gudhi + scipy"


def gradient(loss_fn: Callable[[Tensor, Tensor], Tensor], pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return a loss and its gradient."""
    pred = pred.detach().requires_grad_()
    loss = loss_fn(pred, target)
    return loss.detach(), torch.autograd.grad(loss, pred)[0]


def with_gpuph(pred: Tensor, target: Tensor) -> Tensor:
    """Return the loss of cubes (n, 1, size, size, size), one window each."""
    loss: Tensor = gpuph.LocalizedPHLoss(window=pred.shape[-1], height=HEIGHT)(pred, target)
    return loss


def with_gudhi(pred: Tensor, target: Tensor) -> Tensor:
    """Return the same loss without gpuph."""
    return localized_loss(*framed(pred, target, pred.shape[2:], HEIGHT))


def compare(branch: Branch, crops: Crops) -> dict[str, float]:
    """Measure steps on the first batch of `crops`, and print the results."""
    images, target = crops.batch(0)
    n, size = len(images), images.shape[-1]
    few, threads = FEW[size], torch.get_num_threads()
    with torch.no_grad():
        pred = branch.net(images)
    loss_fn = gpuph.LocalizedPHLoss(window=size, height=HEIGHT)

    answers = (gradient(fn, pred[:few], target[:few]) for fn in (with_gpuph, with_gudhi))
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs)

    def on_one_thread() -> None:
        torch.set_num_threads(1)
        gradient(with_gpuph, pred, target)
        torch.set_num_threads(threads)

    seconds = in_turn(
        {
            STEP: lambda: branch.update(images, target, plus(loss_fn, PRESET.weight)),
            PLAIN: lambda: branch.update(images, target),
            LOSS: lambda: gradient(loss_fn, pred, target),
            ONE_THREAD: on_one_thread,
            BY_GUDHI: lambda: gradient(with_gudhi, pred[:few], target[:few]),
        },
        REPEATS[size],
    )
    seconds[BY_GUDHI] *= n / few
    step_by_gudhi = seconds[PLAIN] + seconds[BY_GUDHI]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        our_memory = pool.apply(memory, (with_gpuph, pred.numpy(), target.numpy()))
        their_memory = pool.apply(memory, (with_gudhi, pred[:1].numpy(), target[:1].numpy()))
    result = {
        "windows a second, gpuph": n / seconds[STEP],
        "windows a second, gudhi + scipy": n / step_by_gudhi,
        "windows a second, MSE alone": n / seconds[PLAIN],
        "share of the loss in the step, gpuph": seconds[LOSS] / seconds[STEP],
        "share of the loss in the step, gudhi + scipy": seconds[BY_GUDHI] / step_by_gudhi,
        "milliseconds of loss a window, one thread, gpuph": 1e3 * seconds[ONE_THREAD] / n,
        "milliseconds of loss a window, one thread, gudhi + scipy": 1e3 * seconds[BY_GUDHI] / n,
        "times faster": seconds[BY_GUDHI] / seconds[ONE_THREAD],
        "bytes of loss a voxel, gpuph": our_memory,
        "bytes of loss a voxel, gudhi + scipy": their_memory,
    }
    print(f"\n{n} windows of {size}^3 per step, {threads} threads")
    for name, value in result.items():
        print(f"  {name:<60}{value:>10.3g}", flush=True)
    return result


def memory(loss_fn: Callable[[Tensor, Tensor], Tensor], *maps: np.ndarray) -> float:
    """Return the growth of this process at the loss's peak, in bytes per voxel."""
    pred, target = (torch.from_numpy(x.copy()) for x in maps)
    gradient(loss_fn, pred[..., :8, :8, :8], target[..., :8, :8, :8])  # loads and compiles everything
    return peak_memory(lambda: gradient(loss_fn, pred, target)) / pred.numel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", choices=BATCHES, default=list(BATCHES), help="(default: all)")
    parser.add_argument("--save", action="store_true", help="write bench/results/volume_training.json")
    options = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device("cpu")
    *scenes, _ = hemibrain()
    branch = Branch(3, 1, PRESET, device)
    training = Crops(scenes, PRESET.crop, PRESET.batch, 0, device)
    for number in range(TRAINED):
        branch.update(*training.batch(number))
    results = {f"{size}^3": compare(branch, Crops(scenes, size, BATCHES[size], 0, device)) for size in options.sizes}
    if options.save:
        RESULTS.write_text(json.dumps({"machine": machine(), "training steps": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
