"""The loss on classes that are in the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from .. import checks, hints
from ..betti_matching import COMPARISONS
from .localized import LocalizedPHLoss


class BettiMatchingLoss(LocalizedPHLoss):
    """Difference in topology between a prediction and the truth, whose classes are matched by their places.

    Diagrams of the windows are matched as in `gpuph.betti_match`: a component, loop or cavity of the prediction and one
    of the truth are matched if they become the same one in the union of both. So a missing loop is never matched with
    a false one elsewhere, and no height function is needed. The loss is the squared distance of matched points, plus
    half the squared persistence of unmatched points.

    Parameters
    ----------
    window, stride, dims, border, construction, min_persistence, reduction, capacity, spread, normalise, graphed
        As for `LocalizedPHLoss`.
    superlevel : bool
        False for distance maps, which are low on objects, and True for probabilities, which are high there; `target`
        may then be a mask of floats, booleans or integers.
    comparison : {"union", "intersection"}
        Whether classes are compared in the unions of sublevel sets or in their intersections.

    Raises
    ------
    TypeError, ValueError
        See `LocalizedPHLoss`.
    NotImplementedError
        In a call on volumes, on devices other than the CPU.

    Warns
    -----
    UserWarning
        Once in a process, if `target` looks like a mask instead of a distance map, see `LocalizedPHLoss`; or, with
        `superlevel`, if `pred` looks like logits or `target` has values outside [0, 1], see `LikelihoodPHLoss`.

    References
    ----------
    N. Stucki, J. C. Paetzold, S. Shit, B. Menze, U. Bauer: Topologically faithful image segmentation via induced
    matching of persistence barcodes. ICML 2023. Windows and frames are those of `LocalizedPHLoss`.

    Examples
    --------
    The truth has one road, and the prediction has it elsewhere. The diagrams are the same, but the loops on either side
    are not:

    >>> import torch, gpuph
    >>> road = torch.zeros(2, 1, 1, 64, 64, dtype=torch.bool)
    >>> road[0, ..., 20, :] = road[1, ..., 43, :] = True
    >>> pred, target = gpuph.truncated_distance_map(road[0], 8.0), gpuph.truncated_distance_map(road[1], 8.0)
    >>> gpuph.DistancePHLoss()(pred, target), gpuph.BettiMatchingLoss()(pred, target)
    (tensor(0.), tensor(64.))
    """

    settings = (
        *("weights", "border", "construction", "superlevel", "comparison"),
        *("min_persistence", "capacity", "spread", "normalise"),
    )

    def __init__(
        self,
        *,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (1,),
        border: bool = True,
        construction: str = "T",
        superlevel: bool = False,
        comparison: str = "union",
        min_persistence: float = 0.0,
        reduction: str = "mean",
        capacity: int | None = None,
        spread: str = "pixel",
        normalise: bool = False,
        graphed: bool = False,
    ) -> None:
        super().__init__(
            window=window,
            stride=stride,
            dims=dims,
            height=None,
            border=border,
            construction=construction,
            superlevel=superlevel,
            min_persistence=min_persistence,
            reduction=reduction,
            capacity=capacity,
            spread=spread,
            normalise=normalise,
            graphed=graphed,
        )
        self.comparison = checks.choice("comparison", comparison, COMPARISONS)

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps are probably not of the kind that `superlevel` says."""
        if not self.superlevel:
            return super()._hint(pred, target)
        return hints.probabilities_and_mask(pred, target)
