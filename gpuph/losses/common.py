"""What the losses share: the checks of their arguments, and what becomes of their windows' values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..diagram import raise_status
from ..persistence import check_dims, check_floats, data_decides, debugging

REDUCTIONS = ("mean", "sum", "none")


def check_map(name: str, x: Tensor) -> None:
    """Raise unless x is a batch of maps."""
    check_floats(name, x)
    if x.dim() not in (4, 5) or x.shape[1] != 1:
        raise ValueError(f"{name} must have the shape (B, 1, H, W) or (B, 1, D, H, W), got {tuple(x.shape)}")
    if 0 in x.shape[2:]:
        raise ValueError(f"{name} must have images of at least one pixel, got the shape {tuple(x.shape)}")


def check_pair(pred: Tensor, target: Tensor) -> None:
    """Raise unless prediction and truth are maps of one shape on one device."""
    check_floats("pred", pred)
    check_floats("target", target)
    check_map("pred", pred)
    if target.shape != pred.shape:
        raise ValueError(f"target must have pred's shape {tuple(pred.shape)}, got {tuple(target.shape)}")
    if target.device != pred.device:
        raise ValueError(f"target must be on pred's device {pred.device}, got {target.device}")


def check_reduction(reduction: str) -> None:
    """Raise unless the reduction is known."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}")


def check_number(name: str, value: float) -> float:
    """Return a number that is 0 or more, and finite; raise unless it is."""
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a number of 0 or more, got {value!r}")
    return float(value)


def weights_of(dims: Sequence[int] | Mapping[int, float]) -> dict[int, float]:
    """The weight of each homology dimension; 1 where none was given."""
    weights = dict(dims) if isinstance(dims, Mapping) else dict.fromkeys(check_dims(dims, 3), 1.0)
    check_dims([*weights], 3)
    return {dim: check_number(f"the weight of dimension {dim}", weight) for dim, weight in weights.items()}


def sizes_of(name: str, value: int | Sequence[int], least: int) -> int | tuple[int, ...]:
    """One size for all axes, or one for each."""
    if not isinstance(value, (int, Sequence)):
        raise TypeError(f"{name} must be an int or a sequence of them, got {type(value).__name__}")
    sizes = (value,) if isinstance(value, int) else tuple(value)
    if not sizes or not all(isinstance(size, int) and size >= least for size in sizes):
        raise ValueError(f"{name} must be {least} or more pixels an axis, got {value!r}")
    return value if isinstance(value, int) else sizes


def fitting(name: str, sizes: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Sizes for the axes of an input of that rank."""
    if isinstance(sizes, int):
        return (sizes,) * rank
    if len(sizes) != rank:
        raise ValueError(f"{name} must have one size for each of {rank} axes, got {sizes}")
    return sizes


def lifted(*maps: Tensor) -> list[Tensor]:
    """The maps in their common dtype, but float32 for half precision."""
    dtype = torch.float32
    for x in maps:
        dtype = torch.promote_types(dtype, x.dtype)
    return [x.to(dtype) for x in maps]


def reduced(loss: Tensor, status: Tensor, names: Sequence[str], reduction: str, capacity: int = 0) -> Tensor:
    """What the losses of windows, of any shape, become.

    status : (k n,) int32, not 0 where one of the n windows of the first, ..., the k-th argument of those names holds a
    NaN or has lost its loops, see `Diagrams`. That must not pass unseen: it raises where looking costs nothing or was
    asked for, and makes the loss NaN. capacity : of `Diagrams`, if any were computed.
    """
    if data_decides(status) or debugging():
        raise_status(status, names, capacity)
    if not data_decides(status):
        loss = loss.masked_fill(status.view(len(names), -1).any(dim=0).view(loss.shape), math.nan)
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def described(loss: torch.nn.Module, settings: str) -> str:
    """The settings of those names, for a loss's `extra_repr`."""
    return ", ".join(f"{name}={getattr(loss, name)!r}" for name in settings.split())
