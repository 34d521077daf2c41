"""Metrics of delineations: one file per metric.

All metrics take two masks, or a mask and a graph; all except `betti_error`, `betti_matching_error` and `cl_dice` also
take two graphs.

A mask has the shape (*spatial) or (B, 1, *spatial), where `spatial` is (H, W) or (D, H, W). A mask that is compared
with a graph must be a single one. It is a tensor or another array, and its dtype says how it is read: booleans are True
on the object; integers are labels, so that every number but 0 is the object; floats are probabilities from 0 to 1, and
the object is where they are above 0.5. `pred` and `target` may differ in dtype.

A graph is an undirected networkx graph. Each node has `pos`, its position, with the coordinates in the order of the
axes of the image. An edge is straight unless it has `path`, its vertices from one end to the other, shape (n, ndim), as
in the graphs that `skeleton_graph` returns. Nodes of degree 2 are points of an edge, not nodes. A path may start at
either end of its edge, and its ends may differ from the positions of the nodes by up to 1 % of the diagonal of its
bounding box. Positions are in pixels. Two graphs may also be in another unit, such as metres or degrees, and have any
origin; distances are then in that unit. With `spacing`, the size of a pixel (a number, or one per axis), masks are in
units of length too: the first pixel is at 0, and graphs, radii and tolerances are in that unit. Where points are drawn
at random, the result depends on the order of nodes and edges, but not on the names of nodes. `gpuph.interop` converts
graphs of OSMnx, GeoPandas, sknw, skan and SWC files.

All metrics take a region of interest, `mask`: a mask that is True where the inputs count, for one image or each.
Outside, both inputs are background, and graphs are clipped, with new nodes where edges leave the region. Two graphs
with a region are in pixels of it, or in units of `spacing`.

All metrics raise TypeError if an input is neither an array of real numbers nor an undirected graph. They raise
ValueError if floats are not probabilities, the masks differ in shape or device, a mask has another shape than those
above, a node has no valid position, a path does not lead from one node of its edge to the other, or the graphs differ
in their number of axes.

`gpuph.metrics.modules` has the metrics as subclasses of `torchmetrics.Metric`. It is not imported here, since it needs
torchmetrics.
"""

try:
    import networkx  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("gpuph.metrics needs networkx, which comes with `pip install gpuph[metrics]`") from error

from .apls import APLS, apls
from .betti import betti_error
from .betti_matching import betti_matching_error
from .ccq import CCQ, ccq
from .cl_dice import ClDice, cl_dice
from .draw_graph import draw_graph
from .junctions import JunctionScore, junction_score
from .skeleton_graph import skeleton_graph
from .too_long_too_short import TooLongTooShort, too_long_too_short
from .topo import TOPO, topo

__all__ = [
    "APLS",
    "CCQ",
    "TOPO",
    "ClDice",
    "JunctionScore",
    "TooLongTooShort",
    "apls",
    "betti_error",
    "betti_matching_error",
    "ccq",
    "cl_dice",
    "draw_graph",
    "junction_score",
    "skeleton_graph",
    "too_long_too_short",
    "topo",
]
