"""The loss on class probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from .. import hints
from .localized import LocalizedPHLoss


class LikelihoodPHLoss(LocalizedPHLoss):
    """Difference in topology between predicted probabilities and a true mask, over all thresholds.

    This is `LocalizedPHLoss` on superlevel sets and without a height function; it takes probabilities, not logits.
    Unlike distances, probabilities do not encode the width of a gap.

    Parameters
    ----------
    window, stride, dims, border, construction, unmatched, min_persistence, place, solver, reduction, capacity, graphed
        As for `LocalizedPHLoss`. The frame is at the highest probability of prediction and truth.
    spread, normalise
        As for `LocalizedPHLoss`.

    Raises
    ------
    TypeError, ValueError
        See `LocalizedPHLoss`. The truth is a mask of 0 and 1, of floats, booleans or integers.

    Warns
    -----
    UserWarning
        Once in a process, if `pred` has values outside [0, 1], like logits, or `target` has, like a mask of 0 and 255.
        Checked on the CPU, outside of tracing, in the first batch.

    References
    ----------
    X. Hu, L. Fuxin, D. Samaras, C. Chen: Topology-preserving deep image segmentation. NeurIPS 2019. The filtration by
    probabilities is theirs; windows, frame and matching are those of `LocalizedPHLoss`. Their loss is `TopoLoss`.

    Examples
    --------
    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 64, 64)
    >>> target[..., 32, :] = 1.0
    >>> pred = target.clone()
    >>> pred[..., 32, 30:33] = 0.5  # a weak spot: one loop is born 0.5 late
    >>> gpuph.LikelihoodPHLoss()(pred, target)
    tensor(0.2500)
    """

    def __init__(
        self,
        *,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (1,),
        border: bool = True,
        construction: str = "T",
        unmatched: str = "half_squared",
        min_persistence: float = 0.0,
        place: float | Sequence[float] = 0.0,
        solver: str = "auto",
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
            superlevel=True,
            unmatched=unmatched,
            min_persistence=min_persistence,
            place=place,
            solver=solver,
            reduction=reduction,
            capacity=capacity,
            spread=spread,
            normalise=normalise,
            graphed=graphed,
        )

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps are not probabilities and a mask."""
        return hints.probabilities_and_mask(pred, target)
