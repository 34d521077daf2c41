"""`cost` and `distance`: the cost of a matching and its square root, differentiable once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuph.kernels import Matched, Points

from . import backend
from .backend import array, arrays, by_triton, current_device, tensor
from .cpu_kernels import cpu
from .define import define


def _fake(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
    squared: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return fake_costs(birth_a, birth_b)


def fake_costs(birth_a: Tensor, birth_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return costs and slopes without data, for tracing."""
    n = birth_a.shape[0]
    a, b = (birth.new_empty((n, 2, birth.shape[1])) for birth in (birth_a, birth_b))
    return birth_a.new_empty((n,)), a, b


def _run(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
    squared: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    if not by_triton(birth_a):
        found = cpu.cost(arrays(a), arrays(b), array(partner_a), array(partner_b), squared=squared)
        device = birth_a.device
        return tensor(found.cost, device), tensor(found.slopes_a, device), tensor(found.slopes_b, device)
    with current_device(birth_a):
        return backend.triton.cost(a, b, partner_a, partner_b, squared=squared)


define(
    "cost(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " Tensor partner_a, Tensor partner_b, bool squared) -> (Tensor, Tensor, Tensor)",
    _fake,
    _run,
)


class _Cost(torch.autograd.Function):
    """`cost`, which computes its slopes in the forward pass."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        out: Tensor
        out, slopes_a, slopes_b = torch.ops.gpuph.cost.default(*arguments)
        ctx.save_for_backward(slopes_a, slopes_b)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        forbid_second_derivative()
        slopes_a, slopes_b = ctx.saved_tensors
        birth_a, death_a, _, birth_b, death_b, *_ = ctx.needs_input_grad
        a = _of_points(grad, slopes_a) if birth_a or death_a else _NONE
        b = _of_points(grad, slopes_b) if birth_b or death_b else _NONE
        return *a, *b, None, None, None


class _Distance(torch.autograd.Function):
    """`distance`, computed with coordinates that are multiplied by a power of two."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        birth_a, death_a, count_a, birth_b, death_b, count_b, *partners = arguments
        a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
        _, slopes_a, slopes_b = torch.ops.gpuph.cost.default(*arguments, True)
        # `match` ignores what is 2**480 times smaller than the largest coordinate.
        least = 2.0**-480 * torch.maximum(_farthest(a), _farthest(b))
        scale, unit = _powers_of_two(torch.maximum(least, torch.maximum(_largest(slopes_a), _largest(slopes_b))))
        cost, slopes_a, slopes_b = torch.ops.gpuph.cost.default(*_scaled(a, scale), *_scaled(b, scale), *partners, True)
        root: Tensor = cost.sqrt()
        ctx.save_for_backward(root, slopes_a, slopes_b)
        return root * unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        forbid_second_derivative()
        root, slopes_a, slopes_b = ctx.saved_tensors
        grad = (grad / (2 * root)).where(root != 0, 0.0)  # at 0, the root's own gradient is infinite
        return *_of_points(grad, slopes_a), *_of_points(grad, slopes_b), None, None


_NONE = (None, None, None)


def _of_points(grad: Tensor, slopes: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients of births, deaths and counts, from those of costs (N,) and slopes (N, 2, K)."""
    birth, death = (grad[:, None, None] * slopes).unbind(1)
    return birth, death, None


def _scaled(points: Points[Tensor], scale: Tensor) -> Points[Tensor]:
    return Points(points.birth * scale[:, None], points.death * scale[:, None], points.count)


def _farthest(points: Points[Tensor]) -> Tensor:
    """Return the largest absolute value of the finite coordinates of every window's points."""
    birth, death, count = points
    there = torch.arange(birth.shape[1], device=birth.device) < count[:, None]
    finite = birth.isfinite() & death.isfinite() & there
    return _largest(torch.stack((birth, death), dim=1).where(finite[:, None], 0.0))


def _largest(x: Tensor) -> Tensor:
    """Return the largest absolute value of every window; 0 where there are no values."""
    return x.abs().flatten(1).amax(1) if x.shape[2] else x.new_zeros(len(x))


def _powers_of_two(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return powers of two whose product with x is about 1, and their inverses."""
    integer, digits, bias = (torch.int64, 52, 1023) if x.dtype == torch.float64 else (torch.int32, 23, 127)
    exponent = (2 * bias - (x.view(integer) >> digits)).clamp(1, 2 * bias - 1)
    return (exponent << digits).view(x.dtype), ((2 * bias - exponent) << digits).view(x.dtype)


def forbid_second_derivative() -> None:
    """Raise in a backward pass that is itself differentiated, because it would treat the slopes as constants."""
    if torch.is_grad_enabled():
        raise RuntimeError("the cost of a matching is differentiable once; create_graph=True is not supported")


def cost(a: Points[Tensor], b: Points[Tensor], matched: Matched[Tensor], *, squared: bool) -> Tensor:
    """Compute the costs of matchings.

    Parameters
    ----------
    a, b : Points, shapes (N, K) and (N, L)
        Diagrams of the same windows.
    matched : Matched
        Their partners, as `match` returns them.
    squared : bool
        As for `match`.

    Returns
    -------
    Tensor, shape (N,)
        Costs, differentiable once. An essential class without a partner costs inf, and a point with a NaN costs NaN;
        neither has a gradient.
    """
    return _Cost.apply(*a, *b, matched.partner_a, matched.partner_b, squared)  # type: ignore[no-untyped-call]


def distance(a: Points[Tensor], b: Points[Tensor], matched: Matched[Tensor]) -> Tensor:
    """Take the root of `cost` for half squared persistence, even where the cost leaves the dtype but its root does not.

    Returns
    -------
    Tensor, shape (N,)
        Distances, differentiable once; the gradient is 0 where the distance is 0 or inf.
    """
    return _Distance.apply(*a, *b, matched.partner_a, matched.partner_b)  # type: ignore[no-untyped-call]
