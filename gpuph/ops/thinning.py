"""`peel` and `chains`: thinning of masks to curves, for the metrics.

These are not operators of PyTorch, and the kernels themselves are the public functions. They take and return NumPy
arrays, have no gradient and only one device, and their callers, which build networkx graphs, are never traced. A
schema would have nothing to dispatch.
"""

from __future__ import annotations

from gpuph.kernels import cpu

KEPT, LISTED, PRESENT = cpu.thinning.KEPT, cpu.thinning.LISTED, cpu.thinning.PRESENT
chains, peel = cpu.thinning.chains, cpu.thinning.peel
