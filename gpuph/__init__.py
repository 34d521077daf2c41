"""Persistent homology of batches of windows, and losses on it, in PyTorch.

The same calls run on every device: see `persistence`, `match`, `LocalizedPHLoss` and `truncated_distance_map`.
"""

from . import _checkout  # noqa: F401 -- before anything that imports the kernels
from .betti_matching import BettiMatching, betti_match
from .debug import set_debug
from .diagram import Diagram, Diagrams, SuperlevelDiagram
from .diagram.distances import bottleneck_distance, wasserstein_distance
from .diagram.vectors import betti_curve, landscape, persistence_image, total_persistence
from .distance_map import truncated_distance_map
from .height import Linear, Quadratic, Radial, RandomLinear, RandomQuadratic, RandomRadial
from .losses import (
    BettiMatchingLoss,
    BettiPriorLoss,
    CbDiceLoss,
    ConnectivityLoss,
    DistancePHLoss,
    LikelihoodPHLoss,
    LocalizedPHLoss,
    MorseSkeletonLoss,
    OneVsRest,
    SkeletonRecallLoss,
    SoftClDiceLoss,
    TopoLoss,
    WindowLoss,
)
from .matching import Matching, match
from .ops import use_kernels
from .persistence import persistence
from .representatives import Representatives, representatives
from .tubes import skeleton_tubes

__version__ = "0.2.0"

__all__ = [
    "BettiMatching",
    "BettiMatchingLoss",
    "BettiPriorLoss",
    "CbDiceLoss",
    "ConnectivityLoss",
    "Diagram",
    "Diagrams",
    "DistancePHLoss",
    "LikelihoodPHLoss",
    "Linear",
    "LocalizedPHLoss",
    "Matching",
    "MorseSkeletonLoss",
    "OneVsRest",
    "Quadratic",
    "Radial",
    "RandomLinear",
    "RandomQuadratic",
    "RandomRadial",
    "Representatives",
    "SkeletonRecallLoss",
    "SoftClDiceLoss",
    "SuperlevelDiagram",
    "TopoLoss",
    "WindowLoss",
    "betti_curve",
    "betti_match",
    "bottleneck_distance",
    "landscape",
    "match",
    "persistence",
    "persistence_image",
    "representatives",
    "set_debug",
    "skeleton_tubes",
    "total_persistence",
    "truncated_distance_map",
    "use_kernels",
    "wasserstein_distance",
]
