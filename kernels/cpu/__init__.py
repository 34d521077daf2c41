"""The engine on the CPU, as Numba kernels: NumPy arrays in, NumPy arrays out."""

from .framed import localized
from .gather import gather, scatter, scatter_slopes
from .image.persistence import persistence
from .image.skeleton import skeleton
from .matching.cost import cost
from .matching.match import match
from .matching.matched_cost import matched_cost
from .maximin import maximin, regions
from .volume.persistence import persistence3
from .volume.skeleton import skeleton3

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
