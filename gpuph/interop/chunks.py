"""Arrays in chunks, and the windows that start in each of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from .. import arrays
from ..windows import tile
from .optional import required

Array: TypeAlias = NDArray[Any]
DaskArray: TypeAlias = Any


def dask_array() -> Any:
    """Return the module `dask.array`."""
    return required("dask.array", "gpuph.interop.dask", "dask[array]")


def as_dask(**values: Any) -> list[DaskArray]:
    """Return arguments as dask arrays of the same shape, (H, W) or (D, H, W); raise if they cannot be."""
    da = dask_array()
    found: list[DaskArray] = []
    for name, value in values.items():
        if isinstance(value, da.Array):
            array = value
        elif all(hasattr(value, field) for field in ("shape", "dtype", "chunks")):  # Zarr or HDF5
            array = da.from_array(value, chunks=value.chunks or "auto")
        else:
            array = da.from_array(arrays.as_tensor(name, value).detach().cpu().numpy(), chunks="auto")
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise ValueError(
                f"{name} must have the shape (H, W) or (D, H, W), with sides of 1 or more, got {array.shape}"
            )
        if any(math.isnan(side) for side in array.shape):
            raise ValueError(f"{name} must have chunks of known sizes, got {array.chunks}; call compute_chunk_sizes()")
        if found and array.shape != found[0].shape:
            first = next(iter(values))
            raise ValueError(f"{name} must have the shape of {first}, {found[0].shape}, got {array.shape}")
        found.append(array)
    return found


def as_tensor(block: Array) -> torch.Tensor:
    """Return a block of an array as a tensor."""
    return arrays.as_tensor("block", np.asarray(block))


def chunk_of(array: DaskArray, axis: int, starts: Array) -> Array:
    """Return the numbers of the chunks in which positions along an axis lie."""
    found: Array = np.searchsorted(np.cumsum(array.chunks[axis]), starts, side="right")
    return found


class Grid:
    """The windows of an array, in groups of those that start in the same chunk."""

    def __init__(self, array: DaskArray, window: Sequence[int], stride: Sequence[int]) -> None:
        tiling = tile(array.shape, window, stride)
        self.window, self.stride = tiling.window, tiling.stride
        # For each axis and group: the pixels that the group covers, and its number of windows.
        self.groups: list[list[tuple[slice, int]]] = []
        for axis, count in enumerate(tiling.counts()):
            size = tiling.window[axis]
            starts = np.minimum(np.arange(count) * tiling.stride[axis], array.shape[axis] - size)
            parts = np.split(starts, np.flatnonzero(np.diff(chunk_of(array, axis, starts))) + 1)
            self.groups.append([(slice(int(part[0]), int(part[-1]) + size), len(part)) for part in parts])

    def map(
        self, function: Callable[..., list[Array]], inputs: Sequence[DaskArray], outputs: Sequence[tuple[Any, Any]]
    ) -> list[DaskArray]:
        """Apply a function to the region of each group of windows in all inputs, and join the results of all groups.

        For a group of n windows, the function returns an array of shape (n, *tail) for each output. `outputs` holds the
        dtype and the tail of each. The results have the shapes (*windows, *tail).
        """
        da = dask_array()

        def shaped(counts: tuple[int, ...], *blocks: Array) -> list[Array]:
            return [part.reshape(*counts, *part.shape[1:]) for part in function(*blocks)]

        task = required("dask", "gpuph.interop.dask").delayed(shaped, pure=False)
        parts: list[dict[tuple[int, ...], DaskArray]] = [{} for _ in outputs]
        for index in itertools.product(*(range(len(axis)) for axis in self.groups)):
            groups = [axis[i] for axis, i in zip(self.groups, index, strict=True)]
            region, counts = tuple(cut for cut, _ in groups), tuple(count for _, count in groups)
            found = task(counts, *(each[region] for each in inputs))
            for number, (dtype, tail) in enumerate(outputs):
                parts[number][index] = da.from_delayed(found[number], (*counts, *tail), dtype=dtype)
        return [self._join(each) for each in parts]

    def _join(self, parts: dict[tuple[int, ...], DaskArray], index: tuple[int, ...] = ()) -> DaskArray:
        axis = len(index)
        if axis == len(self.groups):
            return parts[index]
        return dask_array().concatenate(
            [self._join(parts, (*index, i)) for i in range(len(self.groups[axis]))], axis=axis
        )
