"""Images and volumes larger than memory, on the schedulers of dask: on threads, processes or a cluster.

The functions take dask arrays, Zarr arrays, and others that are cut into chunks, with the shape (H, W) or (D, H, W).
They return dask arrays, so that nothing is computed before `compute`, `to_zarr` or the like. A task reads one chunk,
and as much of its neighbours as the windows that start in the chunk need; results are those of the whole array at once.
Chunks should be several windows wide, so that little is read twice. See `docs/large.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .. import checks
from .. import spacing as sizes
from ..arrays import ArrayLike
from ..diagram.diagram import Parts
from ..distance_map import truncated_distance_map as gpuph_distance_map
from ..losses import WindowLoss
from ..metrics.betti import count_difference
from ..metrics.betti_matching import count_unmatched
from ..persistence import persistence as gpuph_persistence
from ..windows import cut_windows
from .chunks import Array, DaskArray, Grid, as_dask, as_tensor
from .random_windows import mean_error

__all__ = ["betti_error", "betti_matching_error", "loss_map", "persistence", "truncated_distance_map"]


def persistence(
    x: ArrayLike,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    *,
    capacity: int,
    **settings: Any,
) -> dict[int, Parts[DaskArray]]:
    """Compute the persistence diagrams of the windows of an array.

    Parameters
    ----------
    x : dask or Zarr array, or array_like, shape (H, W) or (D, H, W)
        Values, of a dtype that `gpuph.persistence` takes.
    window, stride : int or sequence of int, one per axis
        Size of a window, and distance between neighbours, in pixels; by default the size. The last window along an axis
        is shifted inwards where it would leave the array.
    capacity : int
        Number of columns K of each diagram, which dask must know in advance. Where `count` is larger, the K longest
        pairs are kept.
    **settings : Any
        `dims`, `construction`, `min_persistence` and `superlevel` of `gpuph.persistence`.

    Returns
    -------
    dict of int to Parts
        For each dimension, the fields of a `gpuph.Diagram` as dask arrays: `birth`, `death`, `birth_index` and
        `death_index`, shape (*windows, K), and `count`, shape (*windows), where `windows` are the numbers of windows
        along the axes. Indices are those of pixels in their window.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. A NaN in a window raises when the window is computed.
    ImportError
        If dask is not installed.

    Examples
    --------
    >>> import dask.array
    >>> from gpuph.interop.dask import persistence
    >>> x = dask.array.random.random((300, 500), chunks=(128, 128))
    >>> loops = persistence(x, window=64, capacity=900, dims=(1,))[1]
    >>> loops.birth.shape, loops.count.compute().shape
    ((5, 8, 900), (5, 8))
    """
    (array,) = as_dask(x=x)
    rank = array.ndim
    sides = checks.per_axis("window", checks.sizes("window", window, 1), rank)
    steps = sides if stride is None else checks.per_axis("stride", checks.sizes("stride", stride, 1), rank)
    columns = checks.integer("capacity", capacity, 1)
    if "batched" in settings:
        raise TypeError("batched must not be given: the windows of x are a batch")
    sample = gpuph_persistence(np.zeros((1, *[2] * rank), array.dtype), capacity=columns, **settings)
    numpy_dtype = sample[next(iter(sample))].birth.numpy().dtype
    grid = Grid(array, sides, steps)

    size, step, dims = grid.window, grid.stride, [*sample]

    def diagrams(block: Array) -> list[Array]:
        windows = cut_windows(as_tensor(block)[None], size, step)
        found = gpuph_persistence(windows, capacity=columns, **settings)
        return [part for dim in dims for part in found[dim].numpy()]

    tails = [*[(columns,)] * 4, ()]
    kinds = [numpy_dtype, numpy_dtype, np.dtype("int64"), np.dtype("int64"), np.dtype("int64")]
    outputs = grid.map(diagrams, [array], [*zip(kinds, tails, strict=True)] * len(dims))
    return {dim: Parts(*outputs[5 * i : 5 * i + 5]) for i, dim in enumerate(dims)}


def loss_map(loss: WindowLoss, pred: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> DaskArray:
    """Compute the loss of each window of an array: a map of where a prediction is wrong.

    Parameters
    ----------
    loss : WindowLoss
        A loss on windows, such as `gpuph.TopoLoss(window=64)`. Its `reduction` is not used. A loss with random heights
        draws them anew in each task.
    pred, target : dask or Zarr array, or array_like, shape (H, W) or (D, H, W)
        Maps or masks that the loss takes, without the axes of batch and channel.
    mask : dask or Zarr array, or array_like, bool, optional
        The region of interest: see `gpuph.WindowLoss`. Where the target is NaN outside of it, the background that
        replaces the NaN is the largest value that the task reads, and not that of the whole array.

    Returns
    -------
    dask array, shape (*windows), float32 or float64
        What the loss returns with `reduction="none"`, as a grid of windows. Its mean is the loss of the array with
        `reduction="mean"`.

    Raises
    ------
    TypeError, ValueError
        If `loss` is not a WindowLoss or the shapes differ. The errors of the loss are raised when it is computed.
    ImportError
        If dask is not installed.

    Examples
    --------
    >>> import dask.array, gpuph
    >>> from gpuph.interop.dask import loss_map
    >>> pred, target = dask.array.random.random((2, 300, 500), chunks=(1, 128, 128))
    >>> loss_map(gpuph.TopoLoss(window=64), pred, target > 0.9).compute().shape
    (5, 8)
    """
    if not isinstance(loss, WindowLoss):
        raise TypeError(f"loss must be a WindowLoss, got {checks.shown(loss)}")
    inputs = as_dask(pred=pred, target=target, **({} if mask is None else {"mask": mask}))
    tiling = loss._tiling(inputs[0].shape)
    dtype = np.dtype("float64" if np.dtype("float64") in (x.dtype for x in inputs[:2]) else "float32")
    grid = Grid(inputs[0], tiling.window, tiling.stride)

    def losses(*blocks: Array) -> list[Array]:
        with torch.no_grad():
            found = loss._per_window(*(as_tensor(block)[None, None] for block in blocks))
        return [found[0].numpy().astype(dtype)]

    (found,) = grid.map(losses, inputs, [(dtype, ())])
    return found


def betti_error(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    generator: torch.Generator | None = None,
    **settings: Any,
) -> DaskArray:
    """Compute `gpuph.metrics.betti_error` of two masks, with the same windows if the generator is the same.

    Parameters
    ----------
    pred, target : dask or Zarr array, or array_like, shape (H, W) or (D, H, W)
        Masks, labels or probabilities: see `gpuph.metrics`.
    mask : dask or Zarr array, or array_like, bool, optional
        The region of interest.
    generator : torch.Generator, optional
        The random generator that draws the windows, on the CPU. They are drawn when the function is called, and not
        when its result is computed.
    **settings : Any
        `dim`, `window`, `patches`, `trials`, `border`, `construction` and `spacing` of `gpuph.metrics.betti_error`. By
        default, windows cover the array ten times; for a huge array, fewer `patches` estimate the same mean.

    Returns
    -------
    dask array, shape (), float32
        The mean over windows and trials.

    Raises
    ------
    TypeError, ValueError
        As for `gpuph.metrics.betti_error`. Errors in values are raised when the result is computed.
    ImportError
        If dask is not installed.

    Examples
    --------
    >>> import dask.array
    >>> from gpuph.interop.dask import betti_error
    >>> target = dask.array.zeros((64, 64), chunks=32, dtype=bool)
    >>> target[30:33] = True  # a road that divides the window
    >>> float(betti_error(dask.array.zeros_like(target), target, window=64).compute())
    1.0
    """
    return mean_error(count_difference, (pred, target, mask), generator, settings)


def betti_matching_error(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    generator: torch.Generator | None = None,
    **settings: Any,
) -> DaskArray:
    """Compute `gpuph.metrics.betti_matching_error` of two masks.

    Parameters
    ----------
    pred, target, mask, generator, **settings
        As for `betti_error`. With the same generator, the windows are the same.

    Returns
    -------
    dask array, shape (), float32
        The mean over windows and trials.

    Raises
    ------
    TypeError, ValueError, ImportError
        As for `betti_error`.
    """
    return mean_error(count_unmatched, (pred, target, mask), generator, settings)


def truncated_distance_map(mask: ArrayLike, truncation: float, *, spacing: float | Sequence[float] = 1.0) -> DaskArray:
    """Compute `gpuph.truncated_distance_map` of a mask. Chunks overlap by the truncation.

    Parameters
    ----------
    mask : dask or Zarr array, or array_like, shape (H, W) or (D, H, W), bool
        True on the object.
    truncation, spacing
        As for `gpuph.truncated_distance_map`.

    Returns
    -------
    dask array, of mask's shape, float32
        Distances, in pixels or in units of `spacing`.

    Raises
    ------
    TypeError, ValueError
        As for `gpuph.truncated_distance_map`.
    ImportError
        If dask is not installed.

    Examples
    --------
    >>> import dask.array
    >>> from gpuph.interop.dask import truncated_distance_map
    >>> road = dask.array.zeros((100, 100), chunks=32, dtype=bool)
    >>> road[50] = True
    >>> truncated_distance_map(road, truncation=20.0)[:, 0].compute()[[50, 53, 99]]
    array([ 0.,  3., 20.], dtype=float32)
    """
    (array,) = as_dask(mask=mask)
    if array.dtype != np.bool_:
        raise TypeError(f"mask must hold booleans, got {array.dtype}")
    reach = checks.number("truncation", truncation, positive=True)
    each = sizes.per_axis(sizes.checked(spacing), array.ndim) or (1.0,) * array.ndim
    depth = [int(np.ceil(reach / size)) for size in each]
    # An axis that is not longer than the overlap becomes one chunk, which needs no overlap.
    single = {axis: -1 for axis in range(array.ndim) if depth[axis] >= array.shape[axis]}

    def distances(block: Array) -> Array:
        return gpuph_distance_map(as_tensor(block)[None, None], reach, spacing=each)[0, 0].numpy()

    overlaps = {axis: 0 if axis in single else depth[axis] for axis in range(array.ndim)}
    found = array.rechunk(single) if single else array
    return found.map_overlap(distances, depth=overlaps, boundary="none", dtype=np.float32, meta=np.zeros(0, np.float32))
