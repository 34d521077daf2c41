"""The kernels: the same stages, under the same names, for the CPU (`cpu`, in Numba) and for the GPU (`triton`)."""

from .records import Comparison, Costs, Found, Matched, Pairs, PixelSets, Place, Points, Pulls, Query, Spread, Tiling
from .scale import Scale
from .status import Status

__all__ = [
    "Comparison",
    "Costs",
    "Found",
    "Matched",
    "Pairs",
    "PixelSets",
    "Place",
    "Points",
    "Pulls",
    "Query",
    "Scale",
    "Spread",
    "Status",
    "Tiling",
]
