"""Conversion of arrays of any library, and of numbers of any dtype, to floating-point tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import checks, debug

ArrayLike: TypeAlias = Any  # what `as_tensor` takes, of any library

# The dtypes in which integers and booleans are computed. All their values are exact there, except for those of 64 bits.
PROMOTED = {
    **dict.fromkeys((torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16), torch.float32),
    **dict.fromkeys((torch.uint32, torch.int32, torch.uint64, torch.int64), torch.float64),
}
_LARGEST = 2**53  # up to this, float64 holds every integer


def as_tensor(name: str, x: object) -> Tensor:
    """Return an array as a tensor that shares its memory where that is possible.

    Parameters
    ----------
    name : str
        The name of the argument in errors.
    x : array_like
        A tensor, a NumPy array, an object with `__dlpack__`, `__cuda_array_interface__` or `__array__`, or a nested
        sequence of numbers or of tensors.

    Raises
    ------
    TypeError
        If x is none of these, or does not hold numbers.
    ValueError
        If the rows of x differ in length, or its integers are mixed with floats that cannot hold them.
    """
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray):
        return _from_array(name, x)
    if hasattr(x, "__dlpack__") or hasattr(x, "__cuda_array_interface__"):
        return _from_device_array(name, x)
    if isinstance(x, Sequence) and not isinstance(x, (str, bytes, bytearray, memoryview)):
        return _from_sequence(name, x)
    if hasattr(x, "__array__") or hasattr(x, "__array_interface__"):
        return _from_array(name, np.asarray(x))
    raise TypeError(f"{name} must be a tensor or an array, got {checks.shown(x)}")


def as_floats(name: str, x: object) -> Tensor:
    """Return an array as a floating-point tensor with exactly the same values.

    Floats keep their dtype. Booleans and integers of up to 16 bits become float32, all other integers float64; see
    `PROMOTED`. On the CPU, integers of 64 bits beyond 2^53 raise. On other devices they become NaN, or raise if
    `set_debug` is on.

    Raises
    ------
    TypeError, ValueError
        As `as_tensor` does; or if x is complex, quantised, sparse or nested, or holds an integer beyond 2^53.
    """
    found = as_tensor(name, x)
    if found.dtype not in PROMOTED:
        checks.floats(name, found)
        return found
    checks.dense(name, found)
    if found.dtype == torch.bool:
        found = found.view(torch.uint8) != 0  # a bool tensor that is a view of bytes may hold any byte
    promoted = found.to(PROMOTED[found.dtype])
    if found.dtype not in (torch.int64, torch.uint64):
        return promoted
    bits = found.view(torch.int64)  # PyTorch does not compare uint64
    exact = (promoted.abs() <= _LARGEST) & (promoted.to(torch.int64) == bits)  # 2^53 + 1 is rounded to 2^53
    if not debug.checks_now(found):
        return promoted.where(exact, torch.nan)
    if not exact.all():
        value = int(bits[~exact][0])
        value += 2**64 * (value < 0 and found.dtype == torch.uint64)
        raise ValueError(f"{name} must hold integers from -2^53 to 2^53, which float64 holds exactly, got {value}")
    return promoted


def _from_array(name: str, x: NDArray[Any]) -> Tensor:
    """Return a NumPy array as a tensor."""
    if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold numbers of a dtype that PyTorch has, got an array of {x.dtype}")
    # PyTorch has neither read-only tensors nor other byte orders, and no strides below 0 or between two elements.
    odd = not x.flags.writeable or not x.dtype.isnative or any(step < 0 or step % x.itemsize for step in x.strides)
    return torch.from_numpy(np.array(x, x.dtype.newbyteorder("=")) if odd else x)


def _from_device_array(name: str, x: Any) -> Tensor:
    """Return an array of another library, on any device, as a tensor."""
    try:
        return torch.utils.dlpack.from_dlpack(x) if hasattr(x, "__dlpack__") else torch.as_tensor(x)
    except Exception as error:  # every library has its own, for instance for a dtype that it cannot export
        if hasattr(x, "__dlpack__") and hasattr(x, "__array__"):
            return _from_array(name, np.asarray(x))
        kind = f"{type(x).__module__}.{type(x).__qualname__}"
        raise TypeError(f"{name} must be an array that PyTorch can read, got {kind}: {error}") from error


def _from_sequence(name: str, x: Sequence[object]) -> Tensor:
    """Return a nested sequence as a tensor: tensors are stacked with their gradients, and floats are float64."""
    if len(x) and all(isinstance(part, Tensor) for part in x):
        try:
            return torch.stack(list(x))  # type: ignore[arg-type]
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"{name} must be a sequence of tensors that can be stacked, got others: {error}") from None
    try:
        found = np.asarray(x)
    except Exception as error:  # rows of different lengths raise ValueError, tensors that need a gradient RuntimeError
        raise ValueError(f"{name} must be a regular array of numbers, got {checks.shown(x)}: {error}") from error
    # NumPy rounds integers that are mixed with floats, or are negative and beyond 2^63.
    if found.dtype == np.float64 and (np.abs(found) >= _LARGEST).any():
        exact = found == np.asarray(x, dtype=object)
        if not np.all(exact | np.isnan(found)):
            raise ValueError(
                f"{name} must hold integers from -2^53 to 2^53 where it holds floats, got {checks.shown(x)}"
            )
    return _from_array(name, found)
