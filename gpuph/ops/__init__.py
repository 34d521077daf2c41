"""The operators, the only door to the kernels.

None of them is differentiated but these: `attach` gives values that were read from an image the gradient of its pixels,
by a scatter in a fixed order; `gather` is the scatter's own gradient; `cost` adds a matching up in one pass; and
`matched_cost` matches what was read from images and gives their pixels the gradient. The device of the tensors chooses
the implementation, unless the caller does: see `use_kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from . import shapes  # noqa: F401 -- makes torch.ops.gpuph, with `registration`
from .choice import use_kernels
from .gradients import Attach, Cost, Distance, MatchedCost

__all__ = [
    "attach",
    "cost",
    "distance",
    "gather",
    "localized",
    "match",
    "matched_cost",
    "maximin",
    "persistence",
    "regions",
    "scatter",
    "scatter_slopes",
    "skeleton",
    "use_kernels",
]


def persistence(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    """Compute the pairs of critical pixels of every window.

    Parameters
    ----------
    x : Tensor, shape (N, *window), float32 or float64
        Windows.
    dims : sequence of int
        Homology dimensions wanted.
    top : bool
        True for the construction T (pixels are top cells), False for V (pixels are vertices).
    min_persistence : float
        Only pairs with death - birth above it, rounded to x's dtype.
    capacity : int or None
        Columns K of the result; None for the largest count of the batch or, on other devices than the CPU, for as many
        as there can be. Triton's kernels set memory for the loops of volumes aside by it, and by the size of windows.

    Returns
    -------
    status : Tensor, shape (N,), int32
        0, or 1 where the window holds a NaN (its pairs are then none), or 2 where its loops outgrew the memory that
        Triton's kernels set aside for those of volumes (the pairs of dimension 1 are then none).
    index : list of Tensor, each of shape (N, 2, K), int64
        For each of `dims`, flat indices of birth and death pixels, the longest pair first, -1 for none.
    value : list of Tensor, each of shape (N, 2, K), of x's dtype
        What x has there; +inf for the death of an essential class, and 0 where there is no pair.
    count : list of Tensor, each of shape (N,), int64
        For each of `dims`, how many pairs there are, also where K is smaller.
    """
    return torch.ops.gpuph.persistence(x, dims, top, min_persistence, capacity)


def localized(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    capacity: int | None,
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    """Compute the pairs of the windows of two images, to which a height function and a frame are added.

    The frame is at the common minimum of the two windows in the same place, so that both filtrations begin with it.

    Parameters
    ----------
    pred, target : Tensor, shape (B, *image), float32 or float64
        Images or volumes.
    height : Tensor, shape (1, *window), (N, *window), (1, axes) or (N, axes), of the images' dtype, or None
        What is added to all windows, or to each of the N of either image: in each pixel, or the slopes along the axes
        of what is 0 in the window's centre.
    window, stride : sequence of int, one an axis
        Size of a window, no larger than the image, and distance between windows: see `gpuph.windows.cut_windows`.
    border : bool
        Whether there is a frame.
    dims, top, capacity
        As for `persistence`.

    Returns
    -------
    status : Tensor, shape (2 N,), int32
        As of `persistence`, of the windows of `pred` and then of `target`, as are all the others.
    index : list of Tensor, each of shape (2 N, 2, K), int64
        For each of `dims`, flat indices of birth and death pixels in the image that the window was cut from, the
        longest pair first; -1 for a pixel of the frame and for the death of an essential class.
    value : list of Tensor, each of shape (2 N, 2, K), of the images' dtype
        The filtration's values there, and +inf for the death of an essential class. What stands behind the pairs, here
        and in `index`, means nothing.
    count : list of Tensor, each of shape (2 N,), int64
        How many pairs there are, also where K is smaller.
    """
    return torch.ops.gpuph.localized(pred, target, height, window, stride, border, dims, top, capacity)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Read `values` (N, P) at `index` (N, K), int64, row by row; 0 where the index is negative. Returns (N, K).

    An index of P or more raises IndexError on the CPU, and reads 0 on other devices.
    """
    return torch.ops.gpuph.gather(values, index)


def attach(read: Tensor, values: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Give births and deaths the gradient of the pixels that they came from, from which they differ by constants.

    Parameters
    ----------
    read, index : Tensor, shape (N, 2, K)
        Births and deaths, and their flat indices, int64, in one of the images; negative for none.
    values : Tensor, shape (B, *image)
        The images, each with its share of the N windows.

    Returns
    -------
    birth, death : Tensor, shape (N, K)
    """
    backward = values.requires_grad and torch.is_grad_enabled()
    forward = unpack_dual(values).tangent is not None  # type: ignore[no-untyped-call]  # which raises
    if not backward and not forward:
        birth, death = read.unbind(1)
        return birth, death
    return Attach.apply(read, values.flatten(1), index)  # type: ignore[no-untyped-call]


def scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Add `values` (N, K) up at `index` (N, K), int64, row by row in order of K, unless negative. Returns (N, size).

    An index of `size` or more raises IndexError on the CPU, and is skipped on other devices.
    """
    return torch.ops.gpuph.scatter(values, index, size)


def match(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Match the diagrams of every window optimally.

    Parameters
    ----------
    birth_a, death_a : Tensor, shape (N, K), float32 or float64
        Points of the first diagrams; `birth_b`, `death_b` of shape (N, L) those of the second.
    count_a, count_b : Tensor, shape (N,), int64
        How many of the columns are points.
    squared : bool
        An unmatched point costs half its squared persistence (True) or its distance to the diagonal (False).
    solver : str
        "auto", "augment" (shortest augmenting paths) or "auction".

    Returns
    -------
    partner_a, partner_b : Tensor, shapes (N, K) and (N, L), int64
        Column of the partner, or -1.
    gap : Tensor, shape (N,), float64
        Certified upper bound on the distance of the matching's cost from the optimum.
    """
    return torch.ops.gpuph.match(birth_a, death_a, count_a, birth_b, death_b, count_b, squared, solver)


def cost(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
    squared: bool,
) -> Tensor:
    """Add up what a matching costs, of the arguments and results of `match`: shape (N,), differentiable once.

    An essential class without a partner costs inf, and a point with a NaN costs NaN; neither has a gradient.
    """
    points = birth_a, death_a, count_a, birth_b, death_b, count_b
    return Cost.apply(*points, partner_a, partner_b, squared)  # type: ignore[no-untyped-call]


def distance(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
) -> Tensor:
    """Take the root of `cost` for half squared persistence, also where the cost leaves the dtype but its root does not.

    Shape (N,), differentiable once; the gradient is 0 where the distance is 0 or inf.
    """
    points = birth_a, death_a, count_a, birth_b, death_b, count_b
    return Distance.apply(*points, partner_a, partner_b)  # type: ignore[no-untyped-call]


def matched_cost(
    image_a: Tensor, pairs_a: Sequence[Tensor], image_b: Tensor, pairs_b: Sequence[Tensor], squared: bool
) -> Tensor:
    """Match pairs that were read from images, and add up the cost: shape (N,), differentiable once in the images.

    What `attach`, `match` and `cost` do, without what only the public diagrams need: the columns behind the pairs may
    hold anything, and no step looks at them.

    Parameters
    ----------
    image_a, image_b : Tensor, shape (B, P)
        The images, each with its share of the N windows.
    pairs_a, pairs_b : three tensors
        Pixels (N, 2, K), values (N, 2, K) and counts (N,), as of `localized`.
    squared : bool
        See `match`.
    """
    return MatchedCost.apply(image_a, *pairs_a, image_b, *pairs_b, squared)  # type: ignore[no-untyped-call]


def scatter_slopes(slopes: Tensor, index: Tensor, count: Tensor, grad: Tensor, images: int, size: int) -> Tensor:
    """Add up what the births and deaths of windows say about the pixels of images.

    Parameters
    ----------
    slopes, index : Tensor, shape (N, 2, K)
        Slopes of a window's cost in its births and deaths, and their pixels, int64, negative for none.
    count : Tensor, shape (N,), int64
        How many columns are looked at.
    grad : Tensor, shape (N,), of slopes' dtype
        What each window's slopes are multiplied by.
    images, size : int
        How many images share the windows, and pixels of an image.

    Returns
    -------
    Tensor, shape (images, size)
        Sums, in order of the windows, births before deaths, and of columns.
    """
    return torch.ops.gpuph.scatter_slopes(slopes, index, count, grad, images, size)


def regions(mask: Tensor, radius: int) -> Tensor:
    """Number the parts into which a mask divides windows.

    Parameters
    ----------
    mask : Tensor, shape (N, *window), bool
        True on what divides.
    radius : int
        By how many pixels the mask is dilated first, along the axes.

    Returns
    -------
    Tensor, shape (N, *window), int32
        0 on the dilated mask; elsewhere, the number of the part. Parts touch themselves at corners too, and no two of
        the batch have the same number. Computed on the CPU, wherever the mask is.
    """
    return torch.ops.gpuph.regions(mask, radius)


def maximin(cost: Tensor, region: Tensor, same: bool) -> Tensor:
    """Count for each edge of a grid the pairs of pixels that it decides: it is the least on the best path between them.

    Parameters
    ----------
    cost : Tensor, shape (N, axes, *window), float32 or float64
        Of the edge from each pixel to the next one along an axis. What the last pixels of an axis have is not read.
        Of equal edges, the first by index counts as the greater.
    region : Tensor, shape (N, *window), int32
        The region of each pixel, 0 for none.
    same : bool
        Count pairs of pixels of one region (True) or of different regions (False).

    Returns
    -------
    Tensor, shape (N, axes, *window), int64
        Numbers of pairs, 0 for edges that decide none. Computed on the CPU, wherever the costs are.
    """
    return torch.ops.gpuph.maximin(cost, region, same)


def skeleton(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> Tensor:
    """Mark the pixels of the manifolds of the discrete gradient that lead down from saddles.

    The gradient is the steepest: a pixel leads to its lowest neighbour along the axes, if that is lower than itself,
    and of equal ones to the one with the smallest index. Where all values differ, the mask is flipped and transposed
    with the window.

    Parameters
    ----------
    x : Tensor, shape (N, *window), float32 or float64
        Windows, which are images or volumes; in the construction V, pixels are vertices.
    min_persistence : float
        Saddles whose pair lasts no longer are cancelled.
    manifolds : sequence of int
        1 for the ways from critical edges down to minima, 2, in volumes, for the surfaces below critical squares.

    Returns
    -------
    Tensor, shape (N, *window), bool
        False everywhere in a window that holds a NaN. Computed on the CPU, wherever the windows are.
    """
    return torch.ops.gpuph.skeleton(x, min_persistence, manifolds)
