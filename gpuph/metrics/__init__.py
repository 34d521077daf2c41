"""What a delineation is worth: one file a metric.

All take two masks, or a mask and a graph, and all but `betti_error` two graphs. A mask is a bool tensor, True on the
object, of shape (*spatial) or (B, 1, *spatial), where `spatial` is (H, W) or (D, H, W). A graph is an undirected
networkx graph whose nodes have `pos`, their place in pixels, and whose edges may have `path`, their vertices, as those
of `skeleton_graph`; the mask that it is compared with is a single one. Nodes of degree 2 are points of an edge, not
nodes. A path may start at either end of its edge, and may end at most 1 % of its extent away from the nodes: see
`gpuph.metrics.graph.simplified`. Two graphs may be in another unit than pixels, such as metres or degrees, and have
their origin anywhere; distances are then in that unit. Where points are drawn at random, the draw depends on the order
of nodes and edges, but not on their names.

TypeError is raised for what is neither a bool tensor nor an undirected graph; ValueError if the shapes or devices of
masks differ, a shape is none of the above, a graph lacks positions, a path does not lead from one node of its edge to
the other, or the graphs differ in their number of axes.

`gpuph.metrics.modules` has them as `torchmetrics.Metric`. It is not imported here, since it needs torchmetrics.
"""

from .apls import APLS, apls
from .betti import betti_error
from .ccq import CCQ, ccq
from .draw_graph import draw_graph
from .junctions import JunctionScore, junction_score
from .skeleton_graph import skeleton_graph
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
