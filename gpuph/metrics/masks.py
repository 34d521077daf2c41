"""The rule by which the metrics read masks, labels and probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import arrays, checks

THRESHOLD = 0.5  # above it, a probability stands for the object


def as_mask(name: str, x: object) -> Tensor:
    """Return where the object is, as a bool tensor.

    Parameters
    ----------
    name : str
        The name of the argument in errors.
    x : array_like
        Booleans are True on the object. Integers are labels, so every number but 0 is the object, as in masks of 0 and
        255. Floats are probabilities, and the object is where they are above 0.5.

    Raises
    ------
    TypeError
        If x is not an array of real numbers.
    ValueError
        If x is an array of floats that are not all from 0 to 1, such as logits or distances.
    """
    found = arrays.as_tensor(name, x)
    checks.dense(name, found)
    if found.dtype == torch.bool:
        return found.view(torch.uint8) != 0  # a bool tensor that is a view of bytes may hold any byte
    if found.dtype in arrays.PROMOTED:
        return found.to(torch.bool)
    if found.dtype not in checks.FLOATS:
        raise TypeError(f"{name} must hold booleans, integers or probabilities, got {found.dtype}")
    if found.numel():
        low, high = (float(value) for value in found.detach().aminmax())
        if not (low >= 0.0 and high <= 1.0):  # a NaN is neither
            raise ValueError(
                f"{name} must hold probabilities from 0 to 1 if it is {found.dtype}, got values from {low:g} to"
                f" {high:g}; pass a comparison, such as {name} < t for a distance map or {name} > 0 for logits"
            )
    return found > THRESHOLD
