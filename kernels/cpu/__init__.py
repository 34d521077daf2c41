"""The engine on the CPU, as Numba kernels: NumPy arrays in, NumPy arrays out."""

from .cost import cost
from .gather import gather, scatter
from .match import match
from .persistence import persistence
from .persistence3 import persistence3

__all__ = ["cost", "gather", "match", "persistence", "persistence3", "scatter"]
