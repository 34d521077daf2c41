"""Argument validation.

Each function returns the value in the type that the library works with, or raises an error that names the argument,
what was given and what is expected: TypeError for a value of the wrong type, and ValueError for one out of range, which
includes a number with a fraction where an int is expected. NumPy scalars, and arrays and tensors of shape (), count as
the number that they hold. A bool is not a number, and a string is not a sequence.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST = 2**31 - 1  # of sizes and counts: kernels number pixels with 32 bits
CONSTRUCTIONS = ("T", "V")
REDUCTIONS = ("mean", "sum", "image", "none")
SPREADS = ("pixel", "path")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def shown(value: object) -> str:
    """Return a value as an error message shows it: one line, and not too long."""
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim > 0:
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    try:
        return " ".join(_short.repr(value).split())
    except ValueError:  # an int of more digits than Python prints
        return f"a huge {type(value).__name__}"


def boolean(name: str, value: object) -> bool:
    """Return a bool; raise unless the value is one, of Python or NumPy."""
    value = _scalar(value)
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, got {shown(value)}")
    return value


def integer(name: str, value: object, least: int = 0, most: int = LARGEST) -> int:
    """Return an int; raise unless the value is an integer from `least` to `most`."""
    number = _index(value)
    if number is None:
        kind = ValueError if _is_real(_scalar(value)) else TypeError
        raise kind(f"{name} must be an int of {least} or more, got {shown(value)}")
    if number < least:
        raise ValueError(f"{name} must be an int of {least} or more, got {shown(value)}")
    if number > most:
        raise ValueError(f"{name} must be an int of at most {most}, got {shown(value)}")
    return number


def number(name: str, value: object, least: float = -math.inf, *, positive: bool = False) -> float:
    """Return a float; raise unless the value is a finite number, `least` or more, or above 0 if `positive`."""
    expected = "a positive number" if positive else f"a number of {least:g} or more" if least > -math.inf else "finite"
    plain = _scalar(value)
    if not _is_real(plain):
        raise TypeError(f"{name} must be {'a number' if expected == 'finite' else expected}, got {shown(value)}")
    found = _float(plain)
    if not (_is_finite(found) and found >= least) or (positive and found <= 0):
        raise ValueError(f"{name} must be {expected}, got {shown(value)}")
    return found


def numbers(name: str, values: object) -> tuple[float, ...]:
    """Return floats; raise unless the value is a sequence of one or more finite numbers."""
    plain = [_scalar(value) for value in values] if is_ordered(values) else []  # type: ignore[attr-defined]
    if not plain or not all(_is_real(value) for value in plain):
        raise TypeError(f"{name} must be a sequence of numbers, one per axis, got {shown(values)}")
    found = tuple([_float(value) for value in plain])
    if not all(_is_finite(value) for value in found):
        raise ValueError(f"{name} must be finite, got {found}")
    return found


def choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return a string; raise unless it is one of the choices."""
    if isinstance(value, str) and value in choices:
        return value
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(f"{name} must be one of {tuple(choices)}, got {shown(value)}")


def construction(value: object) -> str:
    """Return the construction; raise unless it is known."""
    if isinstance(value, str) and value in CONSTRUCTIONS:
        return value
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(f'construction must be "T" or "V", got {shown(value)}')


def reduction(value: object) -> str:
    """Return the reduction; raise unless it is known."""
    return choice("reduction", value, REDUCTIONS)


def spread(value: object) -> str:
    """Return which pixels have a gradient; raise unless the setting is known."""
    return choice("spread", value, SPREADS)


def capacity(value: object) -> int | None:
    """Return a number of columns, or None for the default; raise for anything else."""
    return None if value is None else integer("capacity", value, 1)


def seed(value: object) -> int:
    """Return a seed; raise unless it is an int of 0 or more that generators of NumPy and PyTorch take."""
    return integer("seed", value, 0, 2**64 - 1)


def generator(value: object) -> torch.Generator | None:
    """Return a generator or None; raise for anything else."""
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None, got {shown(value)}")
    return value


def generator_on(device: torch.device, value: torch.Generator | None) -> None:
    """Raise if the generator draws on another kind of device."""
    if value is not None and value.device.type != device.type:
        raise ValueError(f"generator must be on {device}, as the input is; it is on {value.device}")


def sizes(name: str, value: object, least: int) -> int | tuple[int, ...]:
    """Return one size for all axes, or one for each; raise unless they are from `least` pixels to `LARGEST`."""
    one = _index(value)
    if one is None and not is_ordered(value):
        raise TypeError(f"{name} must be an int or a sequence of ints, one per axis, got {shown(value)}")
    found = [one] if one is not None else [_index(size) for size in value]  # type: ignore[attr-defined]
    whole = tuple([size for size in found if size is not None])
    if len(whole) < len(found):
        raise TypeError(f"{name} must be an int or a sequence of ints, one per axis, got {shown(value)}")
    if not whole or min(whole) < least:
        raise ValueError(f"{name} must be {least} or more pixels an axis, got {shown(value)}")
    if max(whole) > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST} pixels an axis, got {shown(value)}")
    return whole if one is None else one


def per_axis(name: str, sizes: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Return sizes for the axes of an input of that rank."""
    if isinstance(sizes, int):
        return (sizes,) * rank
    if len(sizes) != rank:
        raise ValueError(f"{name} must have one size for each of {rank} axes, got {sizes}")
    return sizes


def shape(value: object) -> tuple[int, ...]:
    """Return the shape of an image or a volume; raise unless it has 2 or 3 sides of 0 to `LARGEST` pixels."""
    found = [_index(side) for side in value] if is_ordered(value) else [None]  # type: ignore[attr-defined]
    whole = tuple([side for side in found if side is not None])
    if len(whole) < len(found):
        raise TypeError(f"shape must be a sequence of ints, (H, W) or (D, H, W), got {shown(value)}")
    if len(whole) not in (2, 3) or min(whole) < 0 or max(whole) > LARGEST:
        raise ValueError(f"shape must be (H, W) or (D, H, W), of sides from 0 to {LARGEST}, got {shown(value)}")
    return whole


def dims(value: object, rank: int, name: str = "dims") -> list[int]:
    """Return homology dimensions; raise unless they are distinct and exist in windows of that rank."""
    found = [_index(dim) for dim in value] if _is_iterable(value) else [None]  # type: ignore[attr-defined]
    if any(dim is None for dim in found):
        raise TypeError(f"{name} must be a sequence of ints, got {shown(value)}")
    if not found or len(set(found)) < len(found) or any(dim not in range(rank) for dim in found):
        raise ValueError(f"{name} must be distinct numbers from 0 to {rank - 1}, got {shown(found)}")
    return [dim for dim in found if dim is not None]


def weights(value: object, name: str = "dims") -> dict[int, float]:
    """Return the weight of each homology dimension, 1 where only dimensions are given."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(dims(value, 3, name), 1.0)
    keys = dims([*value], 3, name)
    named = zip(keys, value.values(), strict=True)
    return {dim: number(f"{name}: the weight of dimension {dim}", weight, 0.0) for dim, weight in named}


def manifolds(value: object) -> tuple[int, ...]:
    """Return the dimensions of manifolds; raise unless they are 1, 2 or both."""
    found = tuple([_index(dim) for dim in value]) if is_ordered(value) else (None,)  # type: ignore[attr-defined]
    whole = tuple([dim for dim in found if dim is not None])
    if len(whole) < len(found):
        raise TypeError(f"manifolds must be a sequence of ints, got {shown(value)}")
    if not whole or len(set(whole)) < len(whole) or not {1, 2}.issuperset(whole):
        raise ValueError(f"manifolds must be 1, 2 or both, got {shown(value)}")
    return whole


def class_weights(value: object) -> float | tuple[float, ...] | None:
    """Return one weight for all classes, or one for each, or None; raise unless all are finite and 0 or more."""
    if value is None or not is_ordered(value):
        return None if value is None else number("weight", value, 0.0)
    found = tuple([number("weight", each, 0.0) for each in value])  # type: ignore[attr-defined]
    if not found:
        raise ValueError(f"weight must have one number for each class, got {shown(value)}")
    return found


def spacing(value: object, rank: int) -> tuple[float, ...] | None:
    """Return the size of a pixel along each of `rank` axes, None if all are 1; raise unless all are positive."""
    found = numbers("spacing", value) if is_ordered(value) else (number("spacing", value, positive=True),) * rank
    if len(found) != rank:
        raise ValueError(f"spacing must be a number, or have one for each of {rank} axes, got {shown(value)}")
    if min(found) <= 0:
        raise ValueError(f"spacing must be positive, got {shown(value)}")
    return None if set(found) == {1.0} else found


def floats(name: str, x: object) -> None:
    """Raise unless x is a dense, real floating-point tensor."""
    if not isinstance(x, Tensor):
        hint = "; torch.from_numpy makes a tensor of it" if isinstance(x, np.ndarray) else ""
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}{hint}")
    if x.dtype not in FLOATS:
        raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {x.dtype}")
    dense(name, x)


def dense(name: str, x: Tensor) -> None:
    """Raise unless x is a dense tensor."""
    if x.layout != torch.strided or x.is_nested:
        raise TypeError(f"{name} must be a dense tensor, got {'a nested one' if x.is_nested else x.layout}")


def tensors(**values: object) -> None:
    """Raise unless all values are tensors."""
    for name, value in values.items():
        if type(value) is not Tensor and not isinstance(
            value, Tensor
        ):  # the first test is faster and nearly always true
            raise TypeError(f"{name} must be a torch.Tensor, got {shown(value)}")


def _scalar(value: object) -> object:
    """Return the Python number in a NumPy scalar, array or tensor of shape (), or else the value itself."""
    if type(value) in (int, float):  # the most common case; asking for tensors takes longer
        return value
    if isinstance(value, Tensor):
        with_data = value.ndim == 0 and value.device.type != "meta"
    else:
        with_data = isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 and value.dtype.kind in "biuf"
    return value.item() if with_data else value  # type: ignore[attr-defined]


def _index(value: object) -> int | None:
    """Return the int that a value stands for; None if it is not an integer."""
    if type(value) is int:
        return value
    value = _scalar(value)
    if isinstance(value, (bool, Tensor, np.ndarray)):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _is_real(value: object) -> bool:
    return type(value) in (int, float) or (isinstance(value, Real) and not isinstance(value, bool))


def _is_finite(value: float) -> bool:
    return abs(value) < math.inf  # unlike `math.isfinite`, Dynamo traces this where the value is a symbol


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # of an int
        return math.inf


def _is_iterable(value: object) -> bool:
    """Return whether a value can be a sequence of numbers; strings, bytes and mappings cannot."""
    if type(value) in (list, tuple):
        return True
    if isinstance(value, (Tensor, np.ndarray)):
        return value.ndim > 0
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray, memoryview, Mapping))


def is_ordered(value: object) -> bool:
    """Return whether a value can be a sequence of numbers whose order matters."""
    return _is_iterable(value) and not isinstance(value, Set)
