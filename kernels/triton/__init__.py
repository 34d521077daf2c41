"""The engine for the GPU, as Triton kernels: tensors in, tensors out."""

from .framed import localized
from .gather import gather, scatter, scatter_slopes
from .image.persistence import persistence
from .matching.cost import cost
from .matching.match import match
from .matching.matched_cost import matched_cost
from .volume.persistence import persistence3

__all__ = [
    "cost",
    "gather",
    "localized",
    "match",
    "matched_cost",
    "persistence",
    "persistence3",
    "scatter",
    "scatter_slopes",
]
