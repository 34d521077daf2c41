"""`assign` and `bottleneck`: matchings for other distances than that of `match`, on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuph.kernels import Points

from .backend import arrays, tensor, warn_of_detour
from .cpu_kernels import cpu
from .define import define


def _fake_assign(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    order: float,
    internal_p: float,
) -> tuple[Tensor, Tensor]:
    return count_a.new_empty(birth_a.shape), count_a.new_empty(birth_b.shape)


def _run_assign(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    order: float,
    internal_p: float,
) -> tuple[Tensor, Tensor]:
    warn_of_detour(birth_a, "Wasserstein distances of another order than 2 or with another norm than 2")
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    partner_a, partner_b = cpu.assign(arrays(a), arrays(b), order, internal_p)
    return tensor(partner_a, birth_a.device), tensor(partner_b, birth_a.device)


def _fake_bottleneck(
    birth_a: Tensor, death_a: Tensor, count_a: Tensor, birth_b: Tensor, death_b: Tensor, count_b: Tensor
) -> Tensor:
    return count_a.new_empty((birth_a.shape[0], 2))


def _run_bottleneck(
    birth_a: Tensor, death_a: Tensor, count_a: Tensor, birth_b: Tensor, death_b: Tensor, count_b: Tensor
) -> Tensor:
    warn_of_detour(birth_a, "bottleneck distances")
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    return tensor(cpu.bottleneck(arrays(a), arrays(b)), birth_a.device)


_POINTS = "Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b"
define(f"assign({_POINTS}, float order, float internal_p) -> (Tensor, Tensor)", _fake_assign, _run_assign)
define(f"bottleneck({_POINTS}) -> Tensor", _fake_bottleneck, _run_bottleneck)


def assign(a: Points[Tensor], b: Points[Tensor], order: float, internal_p: float) -> tuple[Tensor, Tensor]:
    """Match the diagrams of every window at the least sum of powers of distances.

    Parameters
    ----------
    a, b : Points, shapes (N, K) and (N, L)
        Diagrams of the same windows.
    order, internal_p : float
        A pair, or a point and the diagonal, costs the power `order` of its distance in the norm `internal_p`, which is
        1, 2 or inf.

    Returns
    -------
    partner_a, partner_b : Tensor, shapes (N, K) and (N, L), int64
        Columns of partners, or -1.
    """
    return torch.ops.gpuph.assign(*a, *b, order, internal_p)


def bottleneck(a: Points[Tensor], b: Points[Tensor]) -> Tensor:
    """Find the pairs that decide the bottleneck distances.

    Parameters
    ----------
    a, b : Points, shapes (N, K) and (N, L)
        Diagrams of the same windows.

    Returns
    -------
    Tensor, shape (N, 2), int64
        Columns of a and b. -1 stands for the diagonal, and twice for a distance of 0; -2 for inf, and -3 for NaN.
    """
    return torch.ops.gpuph.bottleneck(*a, *b)
