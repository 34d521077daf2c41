"""The operators through which the library calls the kernels, one file each: schema, dispatch and public function.

The device of the tensors chooses the implementation, unless the caller does: see `use_kernels`. Only four operators are
differentiated: `attach`, `gather` and `scatter`, which are linear, and `cost`, with its relatives `distance` and
`window_costs`. The functions in `thinning`, for metrics, take NumPy arrays and are not operators.
"""

from .assignment import assign, bottleneck
from .attach import attach
from .backend import finest, use_kernels
from .cost import cost, distance
from .distance_map import distance_map
from .framed_persistence import framed_persistence
from .gather import gather, scatter
from .match import match
from .matched_cost import scatter_slopes
from .maximin import maximin
from .partners import partners
from .persistence import persistence
from .regions import regions
from .representatives import representatives
from .skeleton import skeleton
from .window_costs import Matching, WindowCosts, window_costs

__all__ = [
    "Matching",
    "WindowCosts",
    "assign",
    "attach",
    "bottleneck",
    "cost",
    "distance",
    "distance_map",
    "finest",
    "framed_persistence",
    "gather",
    "match",
    "maximin",
    "partners",
    "persistence",
    "regions",
    "representatives",
    "scatter",
    "scatter_slopes",
    "skeleton",
    "use_kernels",
    "window_costs",
]
