"""`match`: optimal partners in two diagrams, window by window."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Matched, Place, Points

from . import backend
from .backend import Array, array, arrays, by_triton, current_device, finest, tensor
from .cpu_kernels import cpu
from .define import define


def _fake(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
    index_a: Tensor | None = None,
    index_b: Tensor | None = None,
    shape: Sequence[int] = (),
    place: Sequence[float] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    gap = birth_a.new_empty((birth_a.shape[0],), dtype=finest(birth_a.device))
    return count_a.new_empty(birth_a.shape), count_a.new_empty(birth_b.shape), gap


def _run(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
    index_a: Tensor | None = None,
    index_b: Tensor | None = None,
    shape: Sequence[int] = (),
    place: Sequence[float] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    where = named_place(index_a, index_b, shape, place)
    if not by_triton(birth_a):
        found, device = cpu.match(arrays(a), arrays(b), solver, squared=squared, place=in_arrays(where)), birth_a.device
        partner_a, partner_b, gap = found
        return tensor(partner_a, device), tensor(partner_b, device), tensor(gap, device)
    with current_device(birth_a):
        return backend.triton.match(a, b, solver, squared=squared, place=where)


def named_place(
    index_a: Tensor | None, index_b: Tensor | None, shape: Sequence[int], weights: Sequence[float]
) -> Place[Tensor] | None:
    """Return the places of points as a record; None if there are none."""
    if index_a is None or index_b is None:
        return None
    return Place(index_a, index_b, tuple(shape), tuple(weights))


def in_arrays(place: Place[Tensor] | None) -> Place[Array] | None:
    """Return places as contiguous arrays."""
    if place is None:
        return None
    return Place(array(place.index_a), array(place.index_b), place.shape, place.weights)


define(
    "match(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " bool squared, str solver, Tensor? index_a=None, Tensor? index_b=None, int[] shape=[],"
    " float[] place=[]) -> (Tensor, Tensor, Tensor)",
    _fake,
    _run,
)


def match(
    a: Points[Tensor], b: Points[Tensor], solver: str, *, squared: bool, place: Place[Tensor] | None = None
) -> Matched[Tensor]:
    """Match the diagrams of every window optimally.

    Parameters
    ----------
    a, b : Points, shapes (N, K) and (N, L)
        Diagrams of the same windows.
    solver : str
        "auto", "augment" (shortest augmenting paths) or "auction".
    squared : bool
        An unmatched point costs half its squared persistence (True) or its distance to the diagonal (False).
    place : Place, optional
        What the distance of two points in the image adds to the cost of their pair: the sum over axes of the squared
        products of weight and distance.

    Returns
    -------
    Matched
        Partners, and a bound on how much more than the optimum they cost.
    """
    return Matched(*torch.ops.gpuph.match.default(*a, *b, squared, solver, *(() if place is None else place)))
