"""The kernels for the GPU, in Triton: they take and return tensors."""

from .curves import curve_pixels
from .distance_map import distance_map
from .framed import framed_persistence
from .gather import gather, scatter, scatter_slopes
from .matching.cost import cost
from .matching.match import match
from .matching.matched_cost import matched_cost
from .maximin import maximin
from .partners import matched_persistence
from .persistence import persistence
from .regions import regions
from .runtime.replay import replayed
from .skeleton import skeleton
from .spread.slopes import spread_slopes

__all__ = [
    "cost",
    "curve_pixels",
    "distance_map",
    "framed_persistence",
    "gather",
    "match",
    "matched_cost",
    "matched_persistence",
    "maximin",
    "persistence",
    "regions",
    "replayed",
    "scatter",
    "scatter_slopes",
    "skeleton",
    "spread_slopes",
]
