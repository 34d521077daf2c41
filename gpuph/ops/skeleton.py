"""`skeleton`: the descending manifolds of the saddles that last."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Status

from . import backend
from .backend import array, by_triton, current_device
from .cpu_kernels import cpu
from .define import define
from .persistence import check_cells, rounded


def _fake(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape, dtype=torch.bool), x.new_empty(x.shape[:1], dtype=torch.int32)


def _run(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> tuple[Tensor, Tensor]:
    least = rounded(min_persistence, x.dtype)
    if by_triton(x):
        check_cells(x.shape[1:], of_skeleton=True)
        with current_device(x):
            return backend.triton.skeleton(x, least, manifolds)
    mask = cpu.skeleton(array(x), least, manifolds)
    status = x.flatten(1).isnan().any(dim=1).to(torch.int32) * int(Status.NAN)
    return torch.from_numpy(mask).to(x.device), status


define("skeleton(Tensor x, float min_persistence, int[] manifolds) -> (Tensor, Tensor)", _fake, _run)


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
        False everywhere in a window whose status is not OK; see `skeleton_and_status`.
    """
    return skeleton_and_status(x, min_persistence, manifolds)[0]


def skeleton_and_status(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the mask of `skeleton`, and the status of each window, (N,) int32; see `gpuph.kernels.status.Status`.

    A window that holds a NaN has no skeleton. On a device other than the CPU, a volume whose loops exceed their
    workspace has none either, because it is unknown which of its saddles last.
    """
    mask, status = torch.ops.gpuph.skeleton(x, min_persistence, manifolds)
    return mask, status
