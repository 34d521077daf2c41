"""The kernels for the CPU, in Numba: they take and return NumPy arrays."""

from . import curves, thinning
from .curves import curve_pixels
from .distance_map import distance_map
from .framed import framed_persistence, matched_persistence
from .gather import gather, scatter, scatter_slopes
from .matching.assignment import assign
from .matching.bottleneck import bottleneck
from .matching.cost import cost
from .matching.match import match
from .matching.matched_cost import matched_cost
from .maximin import maximin, regions
from .persistence import persistence
from .representatives import Wanted, representatives
from .runtime.interrupt import parked_at_exit
from .skeleton import skeleton
from .spread.slopes import spread_slopes

__all__ = [
    "Wanted",
    "assign",
    "bottleneck",
    "cost",
    "curve_pixels",
    "curves",
    "distance_map",
    "framed_persistence",
    "gather",
    "match",
    "matched_cost",
    "matched_persistence",
    "maximin",
    "parked_at_exit",
    "persistence",
    "regions",
    "representatives",
    "scatter",
    "scatter_slopes",
    "skeleton",
    "spread_slopes",
    "thinning",
]
