"""`window_costs`: the forward pass of the loss in one operator, from two images to the costs of their windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpuph.kernels import Comparison, Query, Tiling

from . import backend
from .backend import by_triton, current_device
from .cost import forbid_second_derivative
from .define import define, implementations
from .pairs import fake_pairs, lasting

Flat = tuple[Tensor, Tensor, list[Tensor], list[Tensor], list[Tensor], list[Tensor]]


class Matching(NamedTuple):
    """How the diagrams of windows are matched, and what a matching costs."""

    weights: tuple[float, ...]  # of each dimension of the query
    squared: bool  # as for `match`: what an unmatched point costs
    min_persistence: float = 0.0  # pairs that last no longer are left out
    comparison: str = ""  # "union" or "intersection" for a Betti matching, "" for an optimal one
    place: tuple[float, ...] = ()  # weights of distances in the image along its axes, as for `match`; () for none
    solver: str = "auto"  # of an optimal matching, as for `match`


class WindowCosts(NamedTuple):
    """The costs of the N windows of two images, with the status of the windows and their numbers of pairs."""

    cost: Tensor  # (N,)
    status: Tensor  # (2 N,), int32: see `status.Status`; of the windows of pred, then of those of target
    counts: tuple[Tensor, ...]  # for each dimension of the query, (2 N,), int64: the numbers of pairs of these windows


def _fake(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    capacity: int | None,
    weights: Sequence[float],
    squared: bool,
    min_persistence: float,
    comparison: str = "",
    place: Sequence[float] = (),
    solver: str = "auto",
) -> Flat:
    n = pred.shape[0] * Tiling.of(pred.shape[1:], window, stride, border=border).windows()
    status, index, _, count = fake_pairs(pred, 2 * n, dims, capacity)
    slopes_a, slopes_b = ([pred.new_empty((n, 2, of_dim.shape[2])) for of_dim in index] for _ in range(2))
    return pred.new_empty((n,)), status, slopes_a, slopes_b, index, count


def _run(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    capacity: int | None,
    weights: Sequence[float],
    squared: bool,
    min_persistence: float,
    comparison: str = "",
    place: Sequence[float] = (),
    solver: str = "auto",
) -> Flat:
    images = pred, target, height
    settings = (
        tuple(window),
        tuple(stride),
        border,
        tuple(dims),
        top,
        capacity,
        tuple(weights),
        squared,
        min_persistence,
        comparison,
        tuple(place),
        solver,
    )
    if not by_triton(pred):
        return _compute(images, *settings)
    run = partial(_compute, images, *settings)
    with current_device(pred):
        return backend.triton.replayed(run, images, ("window_costs", *settings))


def _compute(images: tuple[Tensor, Tensor, Tensor | None], *settings: Any) -> Flat:
    *of_pairs, weights, squared, min_persistence, comparison, place, solver = settings
    rest: list[tuple[Any, ...]]  # of the arguments for each dimension
    if comparison:
        *cut, capacity = of_pairs
        compared = Comparison(comparison == "intersection")
        find, run = implementations["matched_persistence"], implementations["cost"]
        status, index, value, count, a, b = find(*images, *cut, min_persistence, capacity, *compared)
        rest = [(*partners, squared) for partners in zip(a, b, strict=True)]
    else:
        status, index, value, found = implementations["framed_persistence"](*images, *of_pairs)
        count = [lasting(of_dim, n, min_persistence) for of_dim, n in zip(value, found, strict=True)]
        run = partial(implementations["matched_cost"], solver=solver)
        rest = [
            (squared, *pixels_of(dim, x, images[0].shape[1:], place)) for dim, x in zip(of_pairs[3], index, strict=True)
        ]
    n, total, slopes_a, slopes_b = status.shape[0] // 2, None, [], []
    for value_of_dim, count_of_dim, rest_of_dim, weight in zip(value, count, rest, weights, strict=True):
        birth, death = value_of_dim.unbind(1)
        birth_a, birth_b = birth.split_with_sizes((n, n))
        death_a, death_b = death.split_with_sizes((n, n))
        count_a, count_b = count_of_dim.split_with_sizes((n, n))
        cost, of_a, of_b = run(birth_a, death_a, count_a, birth_b, death_b, count_b, *rest_of_dim)
        if weight != 1:
            cost = cost * weight
        total = cost if total is None else total + cost
        slopes_a.append(of_a)
        slopes_b.append(of_b)
    assert total is not None  # `dims` is not empty
    return total, status, slopes_a, slopes_b, index, count


def pixels_of(dim: int, index: Tensor, image: Sequence[int], place: Sequence[float]) -> tuple[Any, ...]:
    """Return the last arguments of `match`: the pixels of classes in either image, and the weights of distances.

    They are missing if distances weigh nothing. A component is where it is born, at a minimum, and a loop or a cavity
    is where it dies, inside itself.
    """
    if not place:
        return ()
    n = index.shape[0] // 2
    pixels = index[:, 0 if dim == 0 else 1]
    return *pixels.split_with_sizes((n, n)), image, place


define(
    "window_costs(Tensor pred, Tensor target, Tensor? height, int[] window, int[] stride, bool border, int[] dims,"
    " bool top, int? capacity, float[] weights, bool squared, float min_persistence, str comparison='',"
    " float[] place=[], str solver='auto') -> (Tensor, Tensor, Tensor[], Tensor[], Tensor[], Tensor[])",
    _fake,
    _run,
)


class _WindowCosts(torch.autograd.Function):
    """`window_costs`, which computes its slopes in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        pred: Tensor,
        target: Tensor,
        height: Tensor | None,
        tiling: Tiling,
        query: Query,
        matching: Matching,
    ) -> tuple[Tensor, ...]:
        _, window, stride, border = tiling
        dims, top, _, capacity = query
        cost, status, slopes_a, slopes_b, index, count = torch.ops.gpuph.window_costs.default(
            pred, target, height, window, stride, border, dims, top, capacity, *matching
        )
        needs_a, needs_b, *_ = ctx.needs_input_grad
        saved_a = slopes_a if needs_a else [None] * len(dims)
        saved_b = slopes_b if needs_b else [None] * len(dims)
        saved = (*saved_a, *saved_b, *index, *count) if needs_a or needs_b else ()
        ctx.save_for_backward(*saved)
        ctx.tiling, ctx.weights, ctx.shape = tiling, matching.weights, pred.shape
        ctx.mark_non_differentiable(status, *count)
        ctx.set_materialize_grads(False)
        return cost, status, *count

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *of_others: None) -> tuple[Tensor | None, ...]:
        forbid_second_derivative()
        if grad is None:
            return (None,) * 6
        # Read once: each read unpacks all tensors anew, which a checkpoint allows only once.
        saved, n = ctx.saved_tensors, len(ctx.weights)
        slopes_a, slopes_b, index, count = (saved[i * n : (i + 1) * n] for i in range(4))
        of_a = _backward(ctx, grad, slopes_a, index, count, 0)
        of_b = _backward(ctx, grad, slopes_b, index, count, grad.shape[0])
        return of_a, of_b, None, None, None, None


def _backward(
    ctx: Any, grad: Tensor, slopes: Sequence[Tensor | None], index: Sequence[Tensor], count: Sequence[Tensor], n: int
) -> Tensor | None:
    """Return the gradient of one of the images, whose windows are those from the n-th on."""
    total = None
    image, window, stride, _ = ctx.tiling
    # The last dimension comes first, as in the backward pass of a sum over dimensions.
    for i in reversed(range(len(slopes))):
        of_dim, weight = slopes[i], ctx.weights[i]
        if of_dim is None:
            return None
        of_windows = index[i].narrow(0, n, grad.shape[0]), count[i].narrow(0, n, grad.shape[0])
        scaled = grad if weight == 1 else grad * weight
        of_image = torch.ops.gpuph.scatter_slopes.default(of_dim, *of_windows, scaled, image, window, stride)
        total = of_image if total is None else total + of_image
    return None if total is None else total.view(ctx.shape)


def window_costs(
    pred: Tensor, target: Tensor, height: Tensor | None, tiling: Tiling, query: Query, matching: Matching
) -> WindowCosts:
    """Match the persistence pairs of the windows of a prediction and of its truth, and add up the costs.

    The matching is an optimal one, or the Betti matching of `matched_persistence`.

    This fuses `framed_persistence`, `attach`, `match` and `cost`, or `matched_persistence`, `attach` and `cost`. It
    leaves out what only public diagrams need: columns after the last pair may hold anything, and no step reads them.

    Parameters
    ----------
    pred, target, height, tiling, query
        As for `framed_persistence`.
    matching : Matching
        How diagrams are matched, and what a matching costs.

    Returns
    -------
    WindowCosts
        The costs are differentiable once with respect to the images.
    """
    found = _WindowCosts.apply(pred, target, height, tiling, query, matching)  # type: ignore[no-untyped-call]
    cost, status, *counts = found
    return WindowCosts(cost, status, tuple(counts))
