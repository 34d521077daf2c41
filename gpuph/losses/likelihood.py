"""The loss on class probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from .. import hints
from .localized import LocalizedPHLoss


class LikelihoodPHLoss(LocalizedPHLoss):
    """Difference in topology between predicted probabilities and a true mask, whose superlevel sets are thresholdings.

    It is `LocalizedPHLoss` on superlevel sets and without a height function, and so takes probabilities, not logits.
    How wide a gap in a road is, probabilities do not know, unlike distances.

    Parameters
    ----------
    window, stride, dims, border, construction, unmatched, reduction, capacity
        As for `LocalizedPHLoss`. The frame is laid at the highest probability of prediction and truth together.

    Raises
    ------
    TypeError, ValueError
        As `LocalizedPHLoss` does; the truth is a map of 0 and 1, of a floating-point dtype.

    Warns
    -----
    UserWarning
        Once in a process, if `pred` has values outside of [0, 1], as logits have, or `target` has, as a mask of 0 and
        255. Only tensors on the CPU are looked at, outside of tracing, and each loss object looks at its first batch
        only.

    References
    ----------
    X. Hu, L. Fuxin, D. Samaras, C. Chen: Topology-preserving deep image segmentation. NeurIPS 2019. Its filtration, by
    probabilities, in the windows, with the frame and the matching of `LocalizedPHLoss`; `TopoLoss` is its own loss.

    Examples
    --------
    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 64, 64)
    >>> target[..., 32, :] = 1.0
    >>> pred = target.clone()
    >>> pred[..., 32, 30:33] = 0.5  # a weak spot: of one loop, the birth is late by 0.5
    >>> gpuph.LikelihoodPHLoss()(pred, target)
    tensor(0.2500)
    """

    def __init__(
        self,
        window: int | Sequence[int] = 64,
        stride: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (1,),
        border: bool = True,
        construction: str = "T",
        unmatched: str = "half_squared",
        reduction: str = "mean",
        capacity: int | None = None,
    ) -> None:
        super().__init__(
            window, stride, dims, None, border, construction, True, unmatched, reduction, capacity=capacity
        )

    def _look(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps do not look like probabilities and a mask."""
        return hints.probabilities("pred", pred) & hints.mask("target", target)
