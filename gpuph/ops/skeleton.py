"""`skeleton`: the descending manifolds of the saddles that last."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from . import backend
from .backend import array, by_triton, current_device, warn_of_detour
from .cpu_kernels import cpu
from .define import define
from .persistence import check_cells, rounded


def _fake(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> Tensor:
    return x.new_empty(x.shape, dtype=torch.bool)


def _run(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> Tensor:
    least = rounded(min_persistence, x.dtype)
    if by_triton(x) and x.dim() == 3:
        check_cells(x.shape[1:], of_skeleton=True)
        with current_device(x):
            return backend.triton.skeleton(x, least)
    warn_of_detour(x, "skeletons of volumes")
    mask = cpu.skeleton(array(x), least, manifolds)
    return torch.from_numpy(mask).to(x.device)


define("skeleton(Tensor x, float min_persistence, int[] manifolds) -> Tensor", _fake, _run)


def skeleton(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> Tensor:
    """Mark the pixels of the manifolds of the discrete gradient that descend from saddles.

    The gradient is the steepest: a pixel leads to its lowest neighbour along the axes, if that is lower than itself,
    and of equal ones to the one with the smallest index. Where all values differ, the mask is flipped and transposed
    with the window.

    Parameters
    ----------
    x : Tensor, shape (N, *window), float32 or float64
        Windows, which are images or volumes; in the construction V, pixels are vertices.
    min_persistence : float
        Saddles whose pair lasts no longer are cancelled.
    manifolds : sequence of int
        1 for the paths from critical edges down to minima, 2, in volumes, for the surfaces below critical squares.

    Returns
    -------
    Tensor, shape (N, *window), bool
        False everywhere in a window that holds a NaN. Of volumes it is computed on the CPU, wherever they are.
    """
    return torch.ops.gpuph.skeleton(x, min_persistence, manifolds)
