"""Distances of persistence diagrams: Wasserstein and bottleneck."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from gpuph.kernels import Points

from .. import checks, ops
from ..matching import check_numbers, check_pair, match_points, points_of
from .diagram import Diagram

ORDERS = (1.0, 2.0)
NORMS = (1.0, 2.0, math.inf)


def wasserstein_distance(
    a: Diagram, b: Diagram, *, order: float = 2.0, internal_p: float = 2.0, all_pairs: bool = False
) -> Tensor:
    """Compute the Wasserstein distance of two diagrams, in every window of a batch.

    Parameters
    ----------
    a, b : Diagram, shapes (N, K) and (N, L)
        Diagrams of the same windows, of one dtype and on one device, both of sublevel or both of superlevel sets.
    order : {1, 2}
        The distance is the root of the least sum of lengths to this power.
    internal_p : {1, 2, inf}
        The norm in which the length of a pair is measured, and that of a point and the diagonal. GUDHI's default is
        inf, and its name for this argument is the same.
    all_pairs : bool
        Compare every window of `a`, shape (N, K), with every window of `b`, shape (M, L).

    Returns
    -------
    Tensor, shape (N,), or (N, M) for all pairs
        Distances, in filtration values, also where their powers leave the range of the dtype; inf where the diagrams
        have different numbers of essential classes of some kind. Differentiable: the gradient treats the assignment as
        constant, and is 0 where the distance is 0 or inf.

    Raises
    ------
    TypeError, ValueError
        As `match` does, or if another argument is not one of those above.

    Notes
    -----
    With order 2 and norm 2, the distance is the root of the cost of `match(a, b)`, and is computed by the same kernels.
    Otherwise, scipy finds the assignment on the CPU, exactly up to rounding, in memory proportional to K L. Tensors of
    other devices are copied there, which waits for the device; values and gradients are computed on the device.

    Examples
    --------
    >>> import torch
    >>> from gpuph import Diagram, wasserstein_distance
    >>> a = Diagram.from_list([torch.tensor([[0.0, 8.0]]), torch.tensor([[0.0, 8.0]])])
    >>> b = Diagram.from_list([torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 11.0]])])
    >>> wasserstein_distance(a, b)
    tensor([5., 3.])
    >>> wasserstein_distance(a, b, order=1, internal_p=float("inf"), all_pairs=True)
    tensor([[4., 3.],
            [4., 3.]])
    """
    order, internal_p = _choice("order", order, ORDERS), _choice("internal_p", internal_p, NORMS)
    one, other, shape = _paired(a, b, all_pairs=all_pairs)
    if order == internal_p == 2.0:
        distance = ops.distance(one, other, match_points(one, other, "auto", squared=True))
    else:
        distance = _assigned(one, other, order, internal_p)
    check_numbers(distance, a, b)
    return distance.view(shape)


def bottleneck_distance(a: Diagram, b: Diagram, *, all_pairs: bool = False) -> Tensor:
    """Compute the bottleneck distance of two diagrams, in every window of a batch, exactly.

    Among all matchings, in which points may be matched with the diagonal, take the one whose longest pair is shortest.
    The distance is the length of that pair, in the maximum norm.

    Parameters
    ----------
    a, b : Diagram, shapes (N, K) and (N, L)
        Diagrams of the same windows, of one dtype and on one device, both of sublevel or both of superlevel sets.
    all_pairs : bool
        Compare every window of `a`, shape (N, K), with every window of `b`, shape (M, L).

    Returns
    -------
    Tensor, shape (N,), or (N, M) for all pairs
        Distances, in filtration values; inf where the diagrams have different numbers of essential classes of some
        kind. Differentiable: the gradient is that of the length of one longest pair, and 0 where the distance is 0 or
        inf.

    Raises
    ------
    TypeError, ValueError
        As `match` does, or if `all_pairs` is not a bool.

    Notes
    -----
    The longest pair is found on the CPU, by a binary search over all lengths with matchings by Hopcroft and Karp
    (1973), in memory proportional to K L; tensors of other devices are copied there, which waits for the device.

    Examples
    --------
    >>> import torch
    >>> from gpuph import Diagram, bottleneck_distance
    >>> a = Diagram.from_list([torch.tensor([[0.0, 8.0], [2.0, 3.0]])])
    >>> b = Diagram.from_list([torch.tensor([[1.0, 11.0]]), torch.zeros(0, 2)])
    >>> bottleneck_distance(a, b, all_pairs=True)
    tensor([[3., 4.]])
    """
    one, other, shape = _paired(a, b, all_pairs=all_pairs)
    found = ops.bottleneck(_detached(one), _detached(other))
    columns_a, columns_b = (columns[:, None] for columns in found.unbind(1))
    x, y = (_chosen(points, columns) for points, columns in ((one, columns_a), (other, columns_b)))
    both = torch.maximum(_difference(x.birth, y.birth).abs(), _difference(x.death, y.death).abs())
    of_a, of_b = ((points.death - points.birth).abs() / 2 for points in (x, y))
    alone = of_a.where(columns_a >= 0, of_b.where(columns_b >= 0, 0.0))
    distance = both.where((columns_a >= 0) & (columns_b >= 0), alone)
    distance = distance.masked_fill(columns_a == -2, math.inf).masked_fill(columns_a == -3, math.nan).squeeze(1)
    check_numbers(distance, a, b)
    return distance.view(shape)


def _choice(name: str, value: object, choices: tuple[float, ...]) -> float:
    """Return a float; raise unless the value is one of the choices."""
    shown = ", ".join(f"{choice:g}" for choice in choices)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be one of {shown}, got {checks.shown(value)}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {shown}, got {checks.shown(value)}")
    return float(value)


def _paired(a: Diagram, b: Diagram, *, all_pairs: bool) -> tuple[Points[Tensor], Points[Tensor], tuple[int, ...]]:
    """Return the points of the windows that are compared, and the shape of the result."""
    all_pairs = checks.boolean("all_pairs", all_pairs)
    check_pair(a, b, same_windows=not all_pairs)
    if not all_pairs:
        return points_of(a), points_of(b), (len(a),)
    n, m = len(a), len(b)
    of_a = torch.arange(n, device=a.count.device).repeat_interleave(m, output_size=n * m)
    of_b = torch.arange(m, device=a.count.device).repeat(n)
    return points_of(a[of_a]), points_of(b[of_b]), (n, m)


def _detached(points: Points[Tensor]) -> Points[Tensor]:
    return Points(points.birth.detach(), points.death.detach(), points.count)


def _chosen(points: Points[Tensor], columns: Tensor) -> Points[Tensor]:
    """Return the points in the given columns of each window, and zeros for a column below 0."""
    last = points.birth.shape[1]  # of one more column, so that there always is something to read
    at = columns.where(columns >= 0, last)
    birth, death = (pad(part, (0, 1)).gather(1, at) for part in (points.birth, points.death))
    return points._replace(birth=birth, death=death)


def _assigned(a: Points[Tensor], b: Points[Tensor], order: float, internal_p: float) -> Tensor:
    """Match, and return the distances."""
    partner_a, partner_b = ops.assign(_detached(a), _detached(b), order, internal_p)
    partners = _chosen(b, partner_a)
    matched = partner_a >= 0
    across, along = _difference(a.birth, partners.birth), _difference(a.death, partners.death)
    pairs = _norm(across.abs().where(matched, 0.0), along.abs().where(matched, 0.0), internal_p)
    of_a = pairs.where(matched, _to_diagonal(a, internal_p))
    of_b = _to_diagonal(b, internal_p).where(partner_b < 0, 0.0)
    lengths = torch.cat([x.where(_is_point(points), 0.0) for x, points in ((of_a, a), (of_b, b))], dim=1)
    finite = lengths.isfinite()
    lost = lengths.detach().where(~finite, 0.0).sum(1)  # inf or NaN
    lengths = lengths.where(finite, 0.0)
    if order == 1.0:
        return lengths.sum(1).where(lost == 0, 0.0) + lost
    scale = pad(lengths.detach(), (0, 1)).amax(1)  # squares of lengths may overflow, and underflow
    unit = scale.where(scale > 0, 1.0)
    total = (lengths / unit[:, None]).square().sum(1)
    root = total.where(total > 0, 1.0).sqrt().where(total > 0, 0.0)
    return (root * unit).where(lost == 0, 0.0) + lost


def _is_point(points: Points[Tensor]) -> Tensor:
    return torch.arange(points.birth.shape[1], device=points.birth.device) < points.count[:, None]


def _difference(x: Tensor, y: Tensor) -> Tensor:
    """Return x - y; 0 where they are equal, even if both are infinite."""
    return (x - y).where(x != y, 0.0)


def _norm(x: Tensor, y: Tensor, internal_p: float) -> Tensor:
    """Return the norm of vectors with the coordinates x, y >= 0; its gradient at 0 is 0."""
    if internal_p == 1.0:
        return x + y
    if internal_p == math.inf:
        return torch.maximum(x, y)
    some = (x > 0) | (y > 0)
    return torch.hypot(x.where(some, 1.0), y).where(some, 0.0)


def _to_diagonal(points: Points[Tensor], internal_p: float) -> Tensor:
    """Return the distances to the diagonal."""
    factor: float = 2.0 ** (1.0 / internal_p - 1.0)
    return (points.death - points.birth).abs() * factor
