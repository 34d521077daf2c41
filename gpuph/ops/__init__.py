"""The operators through which the library calls the kernels, one file each: schema, dispatch and public function.

The device of the tensors chooses the implementation, unless the caller does: see `use_kernels`. Those with a derivative
are `attach`, `gather` and `scatter`, which are linear, and `cost`, `distance` and `window_costs`. In `attach_paths` and
`path_costs`, `spread_slopes` takes the place of the derivative. The functions in `thinning`, for metrics, take NumPy
arrays and are not operators.
"""

from .assignment import assign, bottleneck
from .attach import attach, attach_paths
from .backend import finest, use_kernels
from .cost import cost, distance
from .curve_pixels import curve_pixels
from .distance_map import distance_map
from .framed_persistence import framed_persistence
from .gather import gather, scatter
from .match import match
from .matched_cost import scatter_slopes
from .matched_persistence import matched_persistence
from .maximin import maximin
from .path_costs import path_costs
from .persistence import persistence
from .regions import regions
from .representatives import representatives
from .skeleton import skeleton, skeleton_and_status
from .spread_slopes import spread_slopes
from .window_costs import Matching, WindowCosts, window_costs

__all__ = [
    "Matching",
    "WindowCosts",
    "assign",
    "attach",
    "attach_paths",
    "bottleneck",
    "cost",
    "curve_pixels",
    "distance",
    "distance_map",
    "finest",
    "framed_persistence",
    "gather",
    "match",
    "matched_persistence",
    "maximin",
    "path_costs",
    "persistence",
    "regions",
    "representatives",
    "scatter",
    "scatter_slopes",
    "skeleton",
    "skeleton_and_status",
    "spread_slopes",
    "use_kernels",
    "window_costs",
]
