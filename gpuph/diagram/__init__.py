"""Persistence diagrams of a batch, and what is done with them.

`Diagram` has the points of one dimension, and `Diagrams` those of all. `distances` compares diagrams, and `vectors`
turns them into tensors; import both from `gpuph`, as they need modules that need these classes.
"""

from __future__ import annotations

from .by_dimension import Diagrams
from .diagram import Diagram, SuperlevelDiagram

__all__ = ["Diagram", "Diagrams", "SuperlevelDiagram"]
