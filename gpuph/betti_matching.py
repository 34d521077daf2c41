"""Betti matching: pairs of classes that become the same class in the union of two filtrations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Comparison, Found, Matched, Pairs, Query, Tiling

from . import checks, debug, ops
from .arrays import ArrayLike
from .diagram import Diagram, Diagrams
from .diagram.by_dimension import ByDimension
from .matching import Matching, points_of
from .persistence import capacity_of, diagrams_from, query_of, windows_of

COMPARISONS = ("union", "intersection")


class BettiMatching(ByDimension[Matching]):
    """The Betti matchings of the diagrams of N predictions and their truths, as `gpuph.betti_match` returns them.

    It is a mapping: `matching[1]` is the `Matching` of the loops, whose partners are columns of `matching.pred[1]` and
    `matching.target[1]`. Its cost is that of `gpuph.match`; the gap is 0, because nothing is optimized.

    Attributes
    ----------
    pred, target : Diagrams
        The diagrams, as `gpuph.persistence` returns them.
    """

    def __init__(self, pred: Diagrams, target: Diagrams, by_dim: dict[int, Matching]) -> None:
        for name, diagrams in (("pred", pred), ("target", target)):
            if not isinstance(diagrams, Diagrams):
                raise TypeError(f"{name} must be Diagrams, got {checks.shown(diagrams)}")
        if not isinstance(by_dim, dict) or not all(isinstance(matching, Matching) for matching in by_dim.values()):
            raise TypeError(f"by_dim must be a dict of dimensions to Matchings, got {checks.shown(by_dim)}")
        super().__init__(by_dim)
        self.pred, self.target = pred, target

    def __repr__(self) -> str:
        matched = ", ".join(f"{dim}: {int((x.partner_a >= 0).sum())} matched" for dim, x in self.items())
        return f"BettiMatching({{{matched}}})"


def betti_match(
    pred: ArrayLike,
    target: ArrayLike,
    dims: int | Sequence[int] | None = None,
    construction: str = "T",
    superlevel: bool = False,
    comparison: str = "union",
    *,
    min_persistence: float = 0.0,
    capacity: int | None = None,
    batched: bool = True,
    match_empty: bool = False,
) -> BettiMatching:
    """Match the classes of N windows f and g that become the same class of a third function, h = min(f, g).

    Sublevel sets of h are the unions of those of f and g. A component, loop or cavity of f and one of g are matched if
    they become the same one in h, which means that they are in the same place. Diagrams alone, which `match` compares,
    do not say where a class is.

    Parameters
    ----------
    pred, target : array_like, shape (N, H, W), (N, D, H, W) or (N, L)
        The windows f and g, of one shape and on one device; see `gpuph.persistence`. Different dtypes are promoted.
    dims : int or sequence of int, optional
        Homology dimensions; all by default.
    construction : {"T", "V"}
        See `gpuph.persistence`.
    superlevel : bool
        Compare superlevel sets instead, for maps that are high on objects; see `gpuph.persistence`.
    comparison : {"union", "intersection"}
        Whether classes are compared in the unions of sublevel sets or in their intersections.
    min_persistence : float
        Pairs of at most this persistence are left out, and images of classes that last no longer do not count: see
        Notes.
    capacity, batched
        See `gpuph.persistence`. Pairs that are left out have no partners.
    match_empty : bool
        Match classes whose image is empty, too, as the implementations of Stucki et al. do: for comparisons with them.
        Images only, with `construction="V"` and `comparison="union"`; see Notes.

    Returns
    -------
    BettiMatching
        For each dimension, a `Matching`: `matching[1].partner_a` holds columns of `matching.target[1]`, and `partner_b`
        those of `matching.pred[1]`; costs are differentiable with respect to `pred` and `target`.

    Raises
    ------
    TypeError, ValueError
        As `gpuph.persistence`; also if `pred` and `target` differ in shape or device.
    NotImplementedError
        For volumes, or with `match_empty`, on devices other than the CPU.

    Notes
    -----
    A class of f has an image in h, which lives from its birth in f until it dies in h. A class of f is matched with one
    of g if the images of both are the same class of h: if both die at the same pixel of h. Classes whose image is empty
    are unmatched, because other classes were there first; so are those whose image lasts no longer than
    `min_persistence`. With intersections, the images are those of the classes of h in f and in g, which begin in h.
    Where several classes begin or end at one pixel, the longest ones are matched first. Pixels of equal value are
    ordered as in `gpuph.persistence`.

    The essential components of f and g are matched with each other.

    With `match_empty`, cells are in a total order, and two classes are matched if their images end with the same cell,
    even before they begin. Which classes are matched then depends on the order of cells that enter with one pixel: by
    their least corner, and edges of one corner by their axis. Loops also need a loop of h that ends there. Pairs are
    those of these implementations where all pixels differ, besides the essential component, which they leave out.

    References
    ----------
    N. Stucki, J. C. Paetzold, S. Shit, B. Menze, U. Bauer: Topologically faithful image segmentation via induced
    matching of persistence barcodes. ICML 2023. U. Bauer, M. Schmahl: Efficient computation of image persistence.
    SoCG 2023. U. Bauer, M. Lesnick: Induced matchings and the algebraic stability of persistence barcodes. 2015.

    Examples
    --------
    The truth has two dark rings, each around a bright pixel. The prediction lacks the second one, and has a false one
    between them, which has the same birth and death:

    >>> import torch, gpuph
    >>> target, pred = torch.ones(2, 1, 3, 17)
    >>> for image, column in ((target, 1), (target, 15), (pred, 1), (pred, 8)):
    ...     image[..., column - 1 : column + 2] = 0.0
    ...     image[:, 1, column] = 5.0
    >>> matching = gpuph.betti_match(pred, target, dims=1)
    >>> matching.pred[1].death_index, matching[1].partner_a
    (tensor([[18, 25]]), tensor([[ 0, -1]]))
    >>> matching[1].cost  # half the squared persistence of the false ring, and of the missing one
    tensor([25.])
    """
    superlevel, batched = checks.boolean("superlevel", superlevel), checks.boolean("batched", batched)
    intersection = checks.choice("comparison", comparison, COMPARISONS) == "intersection"
    on_cells = checks.boolean("match_empty", match_empty)
    f, wanted = windows_of("pred", pred, dims, batched=batched)
    g, _ = windows_of("target", target, dims, batched=batched)
    if g.shape != f.shape:
        raise ValueError(f"target must have pred's shape {tuple(f.shape)}, got {tuple(g.shape)}")
    if g.device != f.device:
        raise ValueError(f"target must be on pred's device {f.device}, got {g.device}")
    dtype = torch.promote_types(f.dtype, g.dtype)
    f, g = f.to(dtype), g.to(dtype)
    query = query_of(f, wanted, construction, min_persistence, capacity)
    if on_cells and (intersection or query.top or f.dim() > 3):
        kind = "images" if f.dim() == 3 else "volumes"
        raise ValueError(
            'match_empty=True takes images only, with construction="V" and comparison="union", got'
            f" {kind}, construction={construction!r} and comparison={comparison!r}"
        )
    return match_windows(f, g, query, capacity, Comparison(intersection, on_cells), superlevel=superlevel)


def match_windows(
    f: Tensor, g: Tensor, query: Query, capacity: int | None, comparison: Comparison, *, superlevel: bool = False
) -> BettiMatching:
    """Match the classes of windows f and g, (N, *window), of one dtype; see `betti_match`."""
    n, window = len(f), tuple(f.shape[1:])
    tiling = Tiling(window, window, window, border=False)
    values_f, values_g = (_values(x.detach(), superlevel=superlevel) for x in (f, g))
    (status, pairs), partners = ops.matched_persistence((values_f, values_g, None), tiling, query, comparison)
    if debug.is_eager_cpu(status):
        debug.raise_status(status, ("pred", "target"), capacity_of(capacity, window))
    sides = []
    for x, part in ((f, slice(n)), (g, slice(n, 2 * n))):
        found = Found(status[part], [Pairs(*(field[part] for field in of_dim)) for of_dim in pairs])
        sides.append(diagrams_from(found, x, query, capacity_of(capacity, window), superlevel=superlevel))
        if debug.is_debugging():
            sides[-1].check()
    pred, target = sides
    by_dim = {dim: _matching(pred[dim], target[dim], of_dim) for dim, of_dim in zip(query.dims, partners, strict=True)}
    return BettiMatching(pred, target, by_dim)


def _values(x: Tensor, *, superlevel: bool) -> Tensor:
    """Return the values whose sublevel sets are taken, in float32 or float64."""
    x = -x if superlevel else x
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _matching(a: Diagram, b: Diagram, partners: tuple[Tensor, Tensor]) -> Matching:
    """Return a matching of two diagrams with its cost."""
    partner_a, partner_b = partners
    gap = torch.zeros(len(a.count), dtype=ops.finest(a.count.device), device=a.count.device)
    cost = ops.cost(points_of(a), points_of(b), Matched(partner_a, partner_b, gap), squared=True)
    return Matching(partner_a, partner_b, cost, gap)
