"""The setting `place` of matchings: what the distance of two points in the image adds to the cost of their pair."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Place

from . import checks, debug
from .diagram.diagram import Diagram

Weight = float | tuple[float, ...]

PIXELS = ("birth", "death")
_MOST = 1e30  # of a weight: squared distances then stay far below the largest float64


def checked(value: float | Sequence[float]) -> Weight:
    """Return one weight for all axes, or one per axis; raise unless they are from 0 to 1e30."""
    if type(value) is float and value == 0.0:  # the default
        return value
    several = checks.is_ordered(value)
    found = checks.numbers("place", value) if several else (checks.number("place", value, 0.0),)
    if min(found) < 0 or max(found) > _MOST:
        raise ValueError(f"place must be from 0 to {_MOST:g}, got {checks.shown(value)}")
    return found if several else found[0]


def per_axis(place: Weight, rank: int) -> tuple[float, ...]:
    """Return the weight along each of `rank` axes; none if all are 0, so that nothing is computed with them."""
    weights = place if isinstance(place, tuple) else (place,) * rank
    if len(weights) != rank:
        raise ValueError(f"place must be a number, or have one for each of {rank} axes, got {place}")
    return weights if any(weights) else ()


def of_diagrams(a: Diagram, b: Diagram, place: Weight, shape: object, pixel: str) -> Place[Tensor] | None:
    """Return where the points of two diagrams are; None if it does not matter.

    Parameters
    ----------
    place, shape, pixel
        As for `match`.
    """
    checks.choice("pixel", pixel, PIXELS)
    if shape is None and place == 0.0:  # the default
        return None
    sides = None if shape is None else checks.sizes("shape", shape, 1)
    sides = (sides,) if isinstance(sides, int) else sides
    if sides is not None and len(sides) > 3:
        raise ValueError(f"shape must have one to three sides, got {sides}")
    if not any(place if isinstance(place, tuple) else (place,)):
        return None
    if sides is None:
        raise ValueError("shape must be that of a window, (H, W) or (D, H, W), if place is not 0; got None")
    index_a, index_b = _index("a", a, pixel), _index("b", b, pixel)
    return Place(index_a, index_b, sides, per_axis(place, len(sides)))


def _index(name: str, diagram: Diagram, pixel: str) -> Tensor:
    """Return the pixels of points; raise unless there is one for each column."""
    index: Tensor = getattr(diagram, f"{pixel}_index")
    birth = diagram.birth
    if index.dtype != torch.int64 or index.shape != birth.shape or index.device != birth.device:
        raise ValueError(
            f"{name}.{pixel}_index must be int64 of shape {tuple(birth.shape)} on {birth.device}, got"
            f" {index.dtype} of shape {tuple(index.shape)} on {index.device}"
        )
    return index


def check_pixels(cost: Tensor, a: Diagram, b: Diagram, place: Place[Tensor], pixel: str) -> Tensor:
    """Return the costs of windows, NaN if the pixel of a finite point is unknown; raise instead where that is free."""
    pixels = 1
    for side in place.shape:
        pixels *= side
    for name, diagram, index in (("a", a, place.index_a), ("b", b, place.index_b)):
        finite = diagram.mask & diagram.birth.isfinite() & diagram.death.isfinite()
        unknown = (finite & ((index < 0) | (index >= pixels))).any(dim=1)
        if debug.checks_now(cost):
            if unknown.any():
                window = int(unknown.nonzero()[0])
                raise ValueError(
                    f"{name}.{pixel}_index must hold pixels of a window of shape {place.shape}, but a point of its"
                    f" window {window} has another one; Diagram.from_list knows no pixels"
                )
        else:
            cost = cost.masked_fill(unknown, torch.nan)
    return cost
