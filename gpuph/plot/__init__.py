"""Pictures of diagrams, matchings, gradients and representatives, by matplotlib.

Each function draws into the `Axes` that it is given, or into those of a new figure, and returns them. matplotlib is
imported at the first call, and comes with `pip install gpuph[plot]`.

>>> import torch, gpuph
>>> from gpuph import plot
>>> x = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
>>> diagrams = gpuph.persistence(x, batched=False)
>>> ax = plot.diagram(diagrams)
>>> ax.get_xlabel(), ax.get_ylabel()
('birth', 'death')
"""

from .diagrams import barcode, diagram
from .images import gradient, representatives
from .matchings import matching

__all__ = ["barcode", "diagram", "gradient", "matching", "representatives"]
