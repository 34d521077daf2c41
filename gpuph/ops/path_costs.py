"""`path_costs`: `window_costs` with a gradient in all pixels that must move with births and deaths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuph.kernels import Comparison, Found, Pairs, Points, Pulls, Query, Spread, Tiling

from .cost import forbid_second_derivative
from .framed_persistence import framed_persistence
from .matched_persistence import Partners, matched_persistence
from .pairs import lasting
from .spread_slopes import spread_slopes
from .window_costs import Matching, WindowCosts, pixels_of


class _PathCosts(torch.autograd.Function):
    """`path_costs`, which computes slopes and goals in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        pred: Tensor,
        target: Tensor,
        height: Tensor | None,
        tiling: Tiling,
        query: Query,
        matching: Matching,
        normalise: bool,
    ) -> tuple[Tensor, ...]:
        (status, pairs), partners = _matched((pred, target, height), tiling, query, matching)
        total, slopes, goals = None, [], []
        for of_dim, matched, weight in zip(pairs, partners, matching.weights, strict=True):
            cost, slope, goal = _costs(of_dim, *matched, squared=matching.squared)
            if weight != 1:
                cost = cost * weight
            total = cost if total is None else total + cost
            slopes += slope
            goals += goal
        assert total is not None  # `dims` is not empty
        index, count = [x.index for x in pairs], [x.count for x in pairs]
        needs_a, needs_b, *_ = ctx.needs_input_grad
        saved = (pred, target, height, *slopes, *goals, *index, *count) if needs_a or needs_b else ()
        ctx.save_for_backward(*saved)
        ctx.tiling, ctx.query, ctx.weights, ctx.normalise = tiling, query, matching.weights, normalise
        ctx.mark_non_differentiable(status, *count)
        ctx.set_materialize_grads(False)
        return total, status, *count

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *of_others: None) -> tuple[Tensor | None, ...]:
        forbid_second_derivative()
        if grad is None:
            return (None,) * 7
        # Read once: each read unpacks all tensors anew, which a checkpoint allows only once.
        pred, target, height, *saved = ctx.saved_tensors
        of_sides: list[Tensor | None] = [None, None]
        for side in range(2):
            if ctx.needs_input_grad[side]:
                of_sides[side] = _backward(ctx, grad, (pred, target, height), saved, side)
        return *of_sides, None, None, None, None, None


def _matched(
    images: tuple[Tensor, Tensor, Tensor | None], tiling: Tiling, query: Query, matching: Matching
) -> tuple[Found[Tensor], Partners]:
    """Return the pairs of both sides, and in each dimension the partners of either side."""
    least = matching.min_persistence
    if matching.comparison:
        comparison = Comparison(matching.comparison == "intersection")
        return matched_persistence(images, tiling, query._replace(min_persistence=least), comparison)
    found = framed_persistence(*images, tiling, query)
    pairs = [of_dim._replace(count=lasting(of_dim.value, of_dim.count, least)) for of_dim in found.pairs]
    partners = []
    for dim, of_dim in zip(query.dims, pairs, strict=True):
        where = pixels_of(dim, of_dim.index, tiling.image, matching.place)
        a, b = _points(of_dim)
        partner_a, partner_b, _ = torch.ops.gpuph.match.default(*a, *b, matching.squared, matching.solver, *where)
        partners.append((partner_a, partner_b))
    return found._replace(pairs=pairs), partners


def _points(pairs: Pairs[Tensor]) -> tuple[Points[Tensor], Points[Tensor]]:
    """Return the points of both sides."""
    n, (birth, death), count = len(pairs.value) // 2, pairs.value.unbind(1), pairs.count
    return Points(birth[:n], death[:n], count[:n]), Points(birth[n:], death[n:], count[n:])


def _costs(
    pairs: Pairs[Tensor], partner_a: Tensor, partner_b: Tensor, *, squared: bool
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the costs of one dimension, and slopes and goals (N, 2, K) of each side."""
    a, b = _points(pairs)
    cost, slopes_a, slopes_b = torch.ops.gpuph.cost.default(*a, *b, partner_a, partner_b, squared)
    return cost, [slopes_a, slopes_b], [_goals(a, b, partner_a), _goals(b, a, partner_b)]


def _goals(points: Points[Tensor], others: Points[Tensor], partner: Tensor) -> Tensor:
    """Return the coordinates of partners, or the nearest ones on the diagonal for points without a partner."""
    middle = 0.5 * points.birth + 0.5 * points.death
    if others.birth.shape[1] == 0:
        return torch.stack((middle, middle), dim=1)
    column, alone = partner.clamp(0, others.birth.shape[1] - 1), partner < 0
    coordinates = [middle.where(alone, x.gather(1, column)) for x in (others.birth, others.death)]
    return torch.stack(coordinates, dim=1)


def _backward(
    ctx: Any, grad: Tensor, images: tuple[Tensor, Tensor, Tensor | None], saved: Sequence[Tensor], side: int
) -> Tensor:
    """Return the gradient of the prediction (side 0) or of the truth (1)."""
    total, n, dims = None, grad.shape[0], ctx.query.dims
    k = len(dims)
    slopes, goals, index, count = saved[: 2 * k], saved[2 * k : 4 * k], saved[4 * k : 5 * k], saved[5 * k :]
    # The last dimension comes first, as without paths.
    for i in reversed(range(k)):
        weight = ctx.weights[i]
        of_windows = index[i].narrow(0, side * n, n), count[i].narrow(0, side * n, n)
        pulls = Pulls(slopes[2 * i + side], goals[2 * i + side], *of_windows)
        rule = Spread(len(ctx.tiling.window), dims[i], ctx.query.top, side, ctx.normalise)
        of_image = spread_slopes(pulls, grad if weight == 1 else grad * weight, images, ctx.tiling, rule)
        total = of_image if total is None else total + of_image
    assert total is not None
    return total.view(images[0].shape)


def path_costs(
    images: tuple[Tensor, Tensor, Tensor | None], tiling: Tiling, query: Query, matching: Matching, *, normalise: bool
) -> WindowCosts:
    """Match the persistence pairs of windows, and add up the costs; values are those of `window_costs`, bit for bit.

    The gradient is that of `spread_slopes`: where births and deaths differ from those of their partners, or from the
    diagonal if they have none, it pulls on all pixels that must move with them.

    Parameters
    ----------
    images : tuple
        Prediction, truth, and height or None, as for `window_costs`.
    tiling, query, matching
        As for `window_costs`.
    normalise : bool
        Whether the gradients of a birth or death add up to its slope.
    """
    found = _PathCosts.apply(*images, tiling, query, matching, normalise)  # type: ignore[no-untyped-call]
    cost, status, *counts = found
    return WindowCosts(cost, status, tuple(counts))
