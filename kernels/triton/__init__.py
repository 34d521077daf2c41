"""The engine for the GPU, as Triton kernels: tensors in, tensors out."""

from .gather import gather, scatter
from .persistence import persistence

__all__ = ["gather", "persistence", "scatter"]
