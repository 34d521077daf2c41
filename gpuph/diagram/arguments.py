"""Validation of the arguments of diagrams."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .. import checks


def window_index(index: object, windows: int) -> slice | Tensor:
    """Return what selects windows from a tensor, as a slice, a mask or numbers; a single window stays an axis.

    Raises
    ------
    TypeError
        If the index is neither a number nor one of these.
    IndexError
        If a number is out of range.
    """
    if isinstance(index, slice):
        return index
    with contextlib.suppress(TypeError, ValueError):  # for what is not a number
        place = checks.integer("index", index, least=-checks.LARGEST)
        if not -windows <= place < windows:
            raise IndexError(f"window {place} is out of range of a diagram of {windows} windows")
        return slice(place % windows, place % windows + 1)
    if isinstance(index, (Tensor, np.ndarray, list)):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):  # a list of something else
            found = torch.as_tensor(index, dtype=None if len(index) else torch.int64)
            if found.dtype in (torch.bool, torch.int32, torch.int64) and found.dim() == 1:
                return found
    raise TypeError(
        "a Diagram's index must be a number, a slice, a mask of shape (N,) or a list of window numbers, got"
        f" {checks.shown(index)}"
    )


def device_or_dtype(target: object) -> torch.device | torch.dtype:
    """Return a device or a floating-point dtype; raise unless the value is one or names a device."""
    if isinstance(target, torch.device) or (isinstance(target, torch.dtype) and target in checks.FLOATS):
        return target
    expected = f"target must be a device or a floating-point dtype, got {checks.shown(target)}"
    if not isinstance(target, (str, int)) or isinstance(target, bool):
        raise TypeError(expected)
    try:
        return torch.device(target)
    except (RuntimeError, OverflowError) as error:
        raise ValueError(expected) from error


def list_of_points(points: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors of a sequence; raise unless all have the shape (n, 2), and one dtype and device."""
    listed = isinstance(points, Sequence) and not isinstance(points, (str, bytes))
    if not listed and not (isinstance(points, Tensor) and points.dim() > 0):
        raise TypeError(f"points must be a sequence of tensors of shape (n, 2), got {checks.shown(points)}")
    for window in points:
        if not isinstance(window, Tensor) or window.dtype not in checks.FLOATS:
            came = f"one of {window.dtype}" if isinstance(window, Tensor) else f"with {checks.shown(window)}"
            raise TypeError(f"points must be a sequence of floating-point tensors of shape (n, 2), got {came}")
        if window.dim() != 2 or window.shape[1] != 2:
            raise ValueError(f"points: every tensor must have the shape (n, 2), got {tuple(window.shape)}")
    if len({window.dtype for window in points}) > 1:
        raise TypeError(f"points must be of one dtype, got {sorted({str(window.dtype) for window in points})}")
    if len({window.device for window in points}) > 1:
        raise ValueError(f"points must be on one device, got {sorted({str(window.device) for window in points})}")
    return list(points)
