"""Which kernels run: by the device of the tensors, unless the caller chooses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from torch import Tensor

KERNELS = ("auto", "cpu", "triton")
_chosen = os.environ.get("GPUPH_KERNELS", "auto")
if _chosen not in KERNELS:
    raise ValueError(f"GPUPH_KERNELS must be one of {KERNELS}, got {_chosen!r}")


@contextlib.contextmanager
def use_kernels(which: str) -> Iterator[None]:
    """Choose the kernels by hand, for the whole process, while the context lasts.

    The environment variable GPUPH_KERNELS does so from the start.

    Parameters
    ----------
    which : {"auto", "cpu", "triton"}
        "auto": by the device of the tensors. "triton": the Triton kernels, also on CPU tensors, in Triton's interpreter
        (where TRITON_INTERPRET=1 is set before the first use) or another that Triton has been given. "cpu": the Numba
        kernels, also on tensors of other devices, which are copied there and back.

    Raises
    ------
    ValueError
        If `which` is none of these.

    Examples
    --------
    >>> import torch, gpuph
    >>> with gpuph.use_kernels("cpu"):
    ...     int(gpuph.persistence(torch.zeros(1, 4, 4))[0].count)
    1
    """
    global _chosen
    if which not in KERNELS:
        raise ValueError(f"which must be one of {KERNELS}, got {which!r}")
    before, _chosen = _chosen, which
    try:
        yield
    finally:
        _chosen = before


def by_triton(x: Tensor) -> bool:
    """Whether an operator on x runs the Triton kernels."""
    return _chosen == "triton" or (_chosen == "auto" and x.device.type != "cpu")
