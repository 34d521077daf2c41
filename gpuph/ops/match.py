"""`match`: optimal partners in two diagrams, window by window."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuph.kernels import Matched, Points, cpu

from . import backend
from .backend import arrays, by_triton, current_device, finest, tensor
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
) -> tuple[Tensor, Tensor, Tensor]:
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    if not by_triton(birth_a):
        partner_a, partner_b, gap = cpu.match(arrays(a), arrays(b), solver, squared=squared)
        device = birth_a.device
        return tensor(partner_a, device), tensor(partner_b, device), tensor(gap, device)
    with current_device(birth_a):
        return backend.triton.match(a, b, solver, squared=squared)


define(
    "match(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " bool squared, str solver) -> (Tensor, Tensor, Tensor)",
    _fake,
    _run,
)


def match(a: Points[Tensor], b: Points[Tensor], solver: str, *, squared: bool) -> Matched[Tensor]:
    """Match the diagrams of every window optimally.

    Parameters
    ----------
    a, b : Points, shapes (N, K) and (N, L)
        Diagrams of the same windows.
    solver : str
        "auto", "augment" (shortest augmenting paths) or "auction".
    squared : bool
        An unmatched point costs half its squared persistence (True) or its distance to the diagonal (False).

    Returns
    -------
    Matched
        Partners, and a bound on how much more than the optimum they cost.
    """
    return Matched(*torch.ops.gpuph.match.default(*a, *b, squared, solver))
