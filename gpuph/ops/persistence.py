"""`persistence`: the persistence pairs of windows."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gpuph.kernels import Found, Query

from . import backend
from .backend import array, by_triton, current_device
from .cpu_kernels import cpu
from .define import define
from .pairs import Flat, fake_pairs, flat, flat_on, named, narrowed


def _fake(x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None) -> Flat:
    return fake_pairs(x, x.shape[0], dims, capacity)


def _run(x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None) -> Flat:
    query = Query(tuple(dims), top, rounded(min_persistence, x.dtype), capacity)
    if not by_triton(x):
        return flat_on(x.device, cpu.persistence(array(x), query))
    check_cells(x.shape[1:])
    with current_device(x):
        return backend.triton.replayed(partial(_by_triton, x, query), (x,), ("persistence", *query))


def _by_triton(x: Tensor, query: Query) -> Flat:
    found = backend.triton.persistence(x, query)
    return flat(narrowed(found) if query.capacity is None and x.is_cpu else found)


def rounded(number: float, dtype: torch.dtype) -> float:
    """Return a number rounded to a dtype; infinite if it is too large for it."""
    return ctypes.c_float(number).value if dtype == torch.float32 else number


def check_cells(window: Sequence[int], *, of_skeleton: bool = False, of_paths: bool = False) -> None:
    """Raise if windows of that size have more cells than the Triton kernels can number.

    Saddles have numbers of 31 bits, 4 for each pixel or 12 for each voxel: enough for 23,170^2 pixels or 563^3 voxels.
    In skeletons of images, there are 16 for each pixel. For paths, the sum of the numbers of 8 pixels must have at most
    30 bits.
    """
    of_image = 16 if of_skeleton else 32 if of_paths else 4
    each, name, cells = {2: (of_image, "images", "pixels"), 3: (12, "volumes", "voxels")}[len(window)]
    if each * math.prod(window) >= 2**31:
        raise ValueError(
            f"{name} on the GPU must have windows of less than 2^31 / {each} {cells}, border included, got"
            f' {tuple(window)}; with gpuph.use_kernels("cpu") larger ones are computed on the CPU'
        )


define(
    "persistence(Tensor x, int[] dims, bool top, float min_persistence, int? capacity)"
    " -> (Tensor, Tensor[], Tensor[], Tensor[])",
    _fake,
    _run,
)


def persistence(x: Tensor, query: Query) -> Found[Tensor]:
    """Compute the persistence pairs of every window.

    Parameters
    ----------
    x : Tensor, shape (N, *window), float32 or float64
        Windows.
    query : Query
        Which pairs are wanted. Without a capacity, there are as many columns as the largest count of the batch or, on
        devices other than the CPU, as pairs can occur. Triton's kernels size the workspace for the loops of volumes by
        the capacity and by the windows.

    Returns
    -------
    Found
        Status and pairs of every window; the values are of x's dtype. Columns after the last pair hold index -1 and
        value 0.
    """
    return named(torch.ops.gpuph.persistence.default(x, *query))
