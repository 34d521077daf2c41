"""Losses and metrics with the names, arguments and calls of MONAI's: `from gpuph.interop.monai import TopoLoss`.

Losses take the settings of `monai.losses.DiceLoss`, and are called as `loss(input, target)`. Metrics are those of
`monai.metrics.CumulativeIterationMetric`: called on batches, then `aggregate()`, then `reset()`. MONAI is not needed.
"""

from .losses import BettiMatchingLoss, CbDiceLoss, LikelihoodPHLoss, SkeletonRecallLoss, SoftclDiceLoss, TopoLoss
from .metrics import BettiErrorMetric, BettiMatchingErrorMetric, CCQMetric

__all__ = [
    "BettiErrorMetric",
    "BettiMatchingErrorMetric",
    "BettiMatchingLoss",
    "CCQMetric",
    "CbDiceLoss",
    "LikelihoodPHLoss",
    "SkeletonRecallLoss",
    "SoftclDiceLoss",
    "TopoLoss",
]
