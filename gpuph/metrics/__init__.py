"""What a delineation is worth: one file a metric.

`gpuph.metrics.modules` has them as `torchmetrics.Metric`. It is not imported here, since it needs torchmetrics.
"""

from .apls import APLS, apls
from .betti import betti_error
from .ccq import CCQ, ccq
from .graph import draw_graph, skeleton_graph
from .junctions import JunctionScore, junction_score
from .too_long_too_short import TooLongTooShort, too_long_too_short

__all__ = [
    "APLS",
    "CCQ",
    "JunctionScore",
    "TooLongTooShort",
    "apls",
    "betti_error",
    "ccq",
    "draw_graph",
    "junction_score",
    "skeleton_graph",
    "too_long_too_short",
]
