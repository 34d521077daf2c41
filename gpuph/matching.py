"""Optimal matching of persistence diagrams, batched, with a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gpuph.kernels import Matched, Place, Points

from . import checks, debug, ops
from . import place as places
from .diagram.diagram import Diagram, check_diagram, is_superlevel, sublevel

UNMATCHED = ("half_squared", "distance")
SOLVERS = ("auto", "augment", "auction")


@dataclass(frozen=True)
class Matching:
    """An optimal matching of the diagrams a, shape (N, K), and b, shape (N, L), window by window.

    Attributes
    ----------
    partner_a : Tensor, shape (N, K), int64
        For each point of a, the column of its partner in b; -1 for unmatched points and padding. Where it is not -1,
        the partner's birth is `b.birth.gather(1, partner_a.clamp(min=0))`.
    partner_b : Tensor, shape (N, L), int64
        For each point of b, the column of its partner in a, or -1.
    cost : Tensor, shape (N,)
        Cost of the matching, in squared filtration values, in the dtype of the diagrams (float32 for half precision)
        and differentiable with respect to the births and deaths of both. inf where the diagrams have different numbers
        of essential classes of some kind, and NaN where a point has a NaN; the gradient is that of all the other terms.
        A squared quantity overflows sooner than its root: differences above 1e19 in float32, or 1e154 in float64, give
        inf, and differences below 1e-23, or 1e-162, give 0. The matching and `wasserstein_distance` are right at any
        scale.
    gap : Tensor, shape (N,), float64 (float32 on MPS)
        Certified upper bound, up to rounding, on how much more than the optimum the matching costs; where the cost is
        inf or NaN, the bound is for the finite points. At most 1e-5 of the cost, and usually a few roundings of the
        largest cost of a pair or of an unmatched point, however long the bars are that both diagrams share.
    """

    partner_a: Tensor
    partner_b: Tensor
    cost: Tensor
    gap: Tensor

    def __post_init__(self) -> None:
        checks.tensors(partner_a=self.partner_a, partner_b=self.partner_b, cost=self.cost, gap=self.gap)


torch.serialization.add_safe_globals([Matching])


def match(
    a: Diagram,
    b: Diagram,
    unmatched: str = "half_squared",
    solver: str = "auto",
    *,
    place: float | Sequence[float] = 0.0,
    shape: int | Sequence[int] | None = None,
    pixel: str = "death",
) -> Matching:
    """Match the points of two diagrams at the least cost, in every window of a batch.

    A pair costs its squared Euclidean distance, (b - b')^2 + (d - d')^2. For unmatched points, see `unmatched`.

    Parameters
    ----------
    a, b : Diagram, shapes (N, K) and (N, L)
        Diagrams of the same windows, of one dtype and on one device, both of sublevel or both of superlevel sets. Where
        one has overflowed, its remaining points are matched.
    unmatched : {"half_squared", "distance"}
        Cost of an unmatched point with birth b and death d: (d - b)^2 / 2, its squared distance to the diagonal, or
        |d - b| / sqrt(2), the distance itself.
    solver : {"auto", "augment", "auction"}
        How the optimum is found: by shortest augmenting paths, exactly, or by an auction with epsilon scaling, up to
        rounding. "auto" takes the auction where both sides have 2,000 points or more that can gain something from a
        partner, and augmenting paths otherwise.
        Where unmatched points would cost a million times more than any pair, as with a nodata value in both diagrams or
        nearly equal diagrams, all solvers continue with augmenting paths, in arithmetic that keeps the digits of the
        small costs.
    place : float or sequence of float, one per axis
        What a distance of one pixel in the image weighs, in filtration values; 0 for nothing. The squared products of
        weight and distance along each axis are added to the cost of a pair when partners are chosen. They are not in
        the cost that is returned. For voxels that are not cubes, multiply the weight by the spacing along each axis.
    shape : int or sequence of int, optional
        The size of a window, (H, W), (D, H, W) or (L,), in which pixels are numbered; needed for `place`.
    pixel : {"birth", "death"}
        The pixel where a point is, for `place`. Take "death" for loops and cavities, which die inside of themselves,
        and "birth" for components, which are born at their minimum.

    Returns
    -------
    Matching
        `partner_a` holds columns of b, and `partner_b` columns of a.

    Raises
    ------
    TypeError
        If `a` or `b` is not a Diagram, its births and deaths are not floating-point tensors of the same dtype for both
        diagrams, or its counts are not int64.
    ValueError
        If `a` and `b` differ in N or device, if births, deaths and counts differ in shape or device, if a count is
        negative or a point has a NaN, or if another argument is not one of the above; and, with `place`, if a finite
        point has no pixel in the window, as after `Diagram.from_list`. On other devices than the CPU, errors in values
        are deferred: a NaN or a missing pixel makes the cost of its window NaN, a negative count counts as 0, and all
        raise only with `set_debug(True)`.

    Notes
    -----
    The gradient treats the assignment as constant. As in GUDHI, essential classes are matched with those of the same
    kind (finite birth and death inf; birth -inf and finite death; -inf and inf), in order of the finite coordinate.
    Results do not depend on the number of threads. With "half_squared", inputs that are multiplied by a power of two
    have the same partners, as long as no coordinate overflows or becomes subnormal.

    With `place`, points whose bars look alike are matched with those near them instead of with any. Essential classes
    are matched as without. `place` is rounded to float32, so that equal distances tie exactly. `gap` is then about the
    sum that is minimized, which includes the distances. The idea is that of Wen et al., "Topology-preserving image
    segmentation with spatial-aware persistent feature matching", 2024 (arXiv:2412.02076), who multiply the distance of
    two points in the diagram by that of the pixels of their births, clamped to a range, instead of adding squares.

    Augmenting paths: R. Jonker and A. Volgenant, "A Shortest Augmenting Path Algorithm for Dense and Sparse Linear
    Assignment Problems", 1987. Auction: D. P. Bertsekas, "The Auction Algorithm: A Distributed Relaxation Method for
    the Assignment Problem", 1988; D. P. Bertsekas and D. A. Castañón, "A Forward/Reverse Auction Algorithm for
    Asymmetric Assignment Problems", 1992. Diagrams by auction: M. Kerber, D. Morozov and A. Nigmetov, "Geometry Helps
    to Compare Persistence Diagrams", 2017.

    Examples
    --------
    >>> import gpuph, torch
    >>> from gpuph import Diagram, match
    >>> a = Diagram.from_list([torch.tensor([[0.0, 1.0], [0.0, 8.0]])])
    >>> b = Diagram.from_list([torch.tensor([[1.0, 8.0], [4.0, 5.0], [9.0, 9.5]])])
    >>> matching = match(a, b)
    >>> matching.partner_a, matching.partner_b
    (tensor([[-1,  0]]), tensor([[ 1, -1, -1]]))
    >>> matching.cost  # 1 for the pair; 1/2, 1/2 and 1/8 for the others
    tensor([2.1250])

    Two equal loops in one window, and the right one in the other:

    >>> x = torch.zeros(2, 3, 5)
    >>> x[0, 1, 1] = x[0, 1, 3] = x[1, 1, 3] = 1.0
    >>> loops = gpuph.persistence(x)[1]
    >>> match(loops[:1], loops[1:]).partner_a, match(loops[:1], loops[1:], place=0.1, shape=(3, 5)).partner_a
    (tensor([[ 0, -1]]), tensor([[-1,  0]]))
    """
    squared = checks.choice("unmatched", unmatched, UNMATCHED) == "half_squared"
    checks.choice("solver", solver, SOLVERS)
    weight = places.checked(place)
    check_pair(a, b)
    where = places.of_diagrams(a, b, weight, shape, pixel)
    points_a, points_b = points_of(a), points_of(b)
    matched = match_points(points_a, points_b, solver, squared=squared, place=where)
    cost = ops.cost(points_a, points_b, matched, squared=squared)
    check_numbers(cost, a, b)
    if where is not None:
        cost = places.check_pixels(cost, a, b, where, pixel)
    return Matching(matched.partner_a, matched.partner_b, cost, matched.gap)


def points_of(diagram: Diagram) -> Points[Tensor]:
    """Return the points of a diagram, at least in float32, as no kernel computes in half precision."""
    birth, death = sublevel(diagram)
    if birth.dtype not in (torch.float32, torch.float64):
        birth, death = birth.float(), death.float()
    return Points(birth, death, diagram.count)


def match_points(
    a: Points[Tensor], b: Points[Tensor], solver: str, *, squared: bool, place: Place[Tensor] | None = None
) -> Matched[Tensor]:
    """Match points without their gradients; see `ops.match`."""
    a, b = Points(a.birth.detach(), a.death.detach(), a.count), Points(b.birth.detach(), b.death.detach(), b.count)
    return ops.match(a, b, solver, squared=squared, place=place)


def check_pair(a: Diagram, b: Diagram, *, same_windows: bool = True) -> None:
    """Raise unless two diagrams are of one kind, dtype and device, and of the same windows, with valid counts."""
    check_diagram("a", a)
    check_diagram("b", b)
    if is_superlevel(a) != is_superlevel(b):
        raise TypeError(f"b must be a {type(a).__name__}, as a is, got {type(b).__name__}")
    if a.birth.dtype != b.birth.dtype:
        raise TypeError(f"b must have a's dtype {a.birth.dtype}, got {b.birth.dtype}")
    if a.birth.device != b.birth.device:
        raise ValueError(f"b must be on a's device {a.birth.device}, got {b.birth.device}")
    if same_windows and len(a.count) != len(b.count):
        raise ValueError(f"b must have as many windows as a, {len(a.count)}, got {len(b.count)}")
    if debug.checks_now(a.count):
        for name, count in (("a", a.count), ("b", b.count)):
            # For so few numbers, NumPy takes much less time than PyTorch.
            least = int(count.cpu().numpy().min(initial=0))
            if least < 0:
                raise ValueError(f"{name}.count must be 0 or more, got {least}")


def check_numbers(cost: Tensor, a: Diagram, b: Diagram) -> None:
    """Raise if a point has a NaN, which makes its window's cost NaN; on other devices, only when debugging."""
    if not debug.checks_now(cost) or not np.isnan(cost.detach().cpu().numpy()).any():
        return
    for name, diagram in (("a", a), ("b", b)):
        windows = ((diagram.birth.isnan() | diagram.death.isnan()) & diagram.mask).any(dim=1)
        if windows.any():
            raise ValueError(f"{name} must have no NaN, but a point of its window {int(windows.nonzero()[0])} has one")
