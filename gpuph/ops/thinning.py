"""`thin` and `chains`: thinning of masks to curves, for the metrics.

These are not operators of PyTorch: the kernels themselves are the public functions. They take and return NumPy arrays,
have no gradient and run on the CPU only, and their callers, which build networkx graphs, are never traced. A schema
would have nothing to dispatch.
"""

from __future__ import annotations

from typing import Any

from .cpu_kernels import cpu

# In half pixels: a point of a curve is kept if its distance from the end of the mask exceeds half the thickness of the
# mask by this much. A smaller value would let curves grow into the bumps of a rough boundary.
PATIENCE = 3

MODULES = {"chains": "thinning", "thin": "curves"}


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(getattr(cpu, MODULES[name]), name)  # not imported before it is used: see `cpu_kernels`
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
