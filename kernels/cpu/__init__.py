"""The engine on the CPU, as Numba kernels: NumPy arrays in, NumPy arrays out."""

from .cost import cost
from .gather import gather, scatter, scatter_slopes
from .localized import localized
from .match import match
from .matched_cost import matched_cost
from .maximin import maximin, regions
from .persistence import persistence
from .persistence3 import persistence3
from .skeleton import skeleton
from .skeleton3 import skeleton3

__all__ = [
    "cost",
    "gather",
    "localized",
    "match",
    "matched_cost",
    "maximin",
    "persistence",
    "persistence3",
    "regions",
    "scatter",
    "scatter_slopes",
    "skeleton",
    "skeleton3",
]
