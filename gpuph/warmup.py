"""`python -m gpuph.warmup`: compile the kernels for the CPU in advance, for instance while a container is built.

Kernels are compiled at their first use and cached in NUMBA_CACHE_DIR or, by default, beside the sources or in the
user's cache directory. Run this as the user, and on the kind of CPU, that the kernels are for.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch

from . import (
    BettiMatchingLoss,
    ConnectivityLoss,
    Diagram,
    LikelihoodPHLoss,
    LocalizedPHLoss,
    MorseSkeletonLoss,
    match,
    metrics,
    persistence,
    representatives,
    truncated_distance_map,
)

# Several threads share an image or a volume with edges of this length or more, by other kernels than for small ones.
_LARGE_IMAGE, _LARGE_VOLUME = 512, 52


def warm_up() -> None:
    """Call everything that has kernels on the CPU, on small inputs of each dtype and rank."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(max(threads, 2))
        for dtype in (torch.float32, torch.float64):
            _diagrams(dtype)
            _losses(dtype)
    finally:
        torch.set_num_threads(threads)
    _masks()


def _diagrams(dtype: torch.dtype) -> None:
    points = Diagram.from_list([torch.tensor([[0.0, 1.0], [0.0, 3.0]], dtype=dtype)])
    for solver in ("auto", "auction"):
        match(points, points, solver=solver)
    for size in ((8, 8), (_LARGE_IMAGE,) * 2, (8, 8, 8), (_LARGE_VOLUME,) * 3):
        x = torch.rand(1, *size, dtype=dtype, requires_grad=True)
        diagrams = persistence(x)
        representatives(x, diagrams, dims=(0, len(size) - 1))
        sum(diagram.birth.sum() for diagram in diagrams.values()).backward()  # type: ignore[union-attr]


def _losses(dtype: torch.dtype) -> None:
    for size in ((8, 8), (8, 8, 8), (_LARGE_VOLUME,) * 3):
        dims = tuple(range(len(size)))
        target = torch.rand(1, 1, *size, dtype=dtype)
        LocalizedPHLoss(window=_LARGE_VOLUME, dims=dims)(target.clone().requires_grad_(), target).backward()
    for size in ((8, 8), (8, 8, 8)):
        pred = torch.rand(1, 1, *size, dtype=dtype)
        mask = torch.zeros_like(pred)
        mask[..., 4, :] = 1.0
        distances = truncated_distance_map(mask.bool(), 5.0).to(dtype)
        for loss_fn, target in (
            (LikelihoodPHLoss(), mask),
            (MorseSkeletonLoss(), mask),
            (ConnectivityLoss(), distances),
            (LocalizedPHLoss(dims=tuple(range(len(size))), spread="path"), distances),
            (BettiMatchingLoss(dims=tuple(range(len(size)))), distances),
        ):
            loss_fn(pred.clone().requires_grad_(), target).backward()


def _masks() -> None:
    for size in ((16, 16), (8, 16, 16)):
        mask = torch.zeros(1, 1, *size, dtype=torch.bool)
        mask[..., 8, :] = True
        truncated_distance_map(mask, 5.0)
        metrics.ccq(mask[0, 0], mask[0, 0])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m gpuph.warmup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)
    started = time.perf_counter()
    warm_up()
    print(f"The kernels for the CPU are compiled ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
