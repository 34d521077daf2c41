"""The engine for the GPU, as Triton kernels: tensors in, tensors out."""

from .cost import cost
from .gather import gather, scatter, scatter_slopes
from .localized import localized
from .match import match
from .matched_cost import matched_cost
from .persistence import persistence
from .persistence3 import persistence3

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
