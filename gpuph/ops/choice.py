"""Which kernels run: by the device of the tensors, unless the caller chooses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import ModuleType

import torch
from torch import Tensor

from .. import checks

KERNELS = ("auto", "cpu", "triton")
_chosen = checks.choice("GPUPH_KERNELS", os.environ.get("GPUPH_KERNELS") or "auto", KERNELS)


def use_kernels(which: str) -> contextlib.AbstractContextManager[None]:
    """Choose the kernels by hand, for the whole process, while the context lasts.

    The environment variable GPUPH_KERNELS does so from the start; an empty one counts as "auto".

    Parameters
    ----------
    which : {"auto", "cpu", "triton"}
        "auto": by the device of the tensors. "triton": the Triton kernels, also on CPU tensors, in Triton's interpreter
        (where TRITON_INTERPRET=1 is set before the first use) or another that Triton has been given. "cpu": the Numba
        kernels, also on tensors of other devices, which are copied there and back.

    Raises
    ------
    TypeError, ValueError
        If `which` is not one of these.

    Examples
    --------
    >>> import torch, gpuph
    >>> with gpuph.use_kernels("cpu"):
    ...     int(gpuph.persistence(torch.zeros(1, 4, 4))[0].count)
    1
    """
    return _choose(checks.choice("which", which, KERNELS))  # raises in the call, before the context begins


@contextlib.contextmanager
def _choose(which: str) -> Iterator[None]:
    global _chosen
    before, _chosen = _chosen, which
    try:
        yield
    finally:
        _chosen = before


def by_triton(x: Tensor) -> bool:
    """Whether an operator on x runs the Triton kernels."""
    return _chosen == "triton" or (_chosen == "auto" and x.device.type != "cpu")


def finest(device: torch.device) -> torch.dtype:
    """The finest floating-point dtype of a device: float64, which MPS does not have."""
    return torch.float32 if device.type == "mps" else torch.float64


def triton_kernels(x: Tensor) -> ModuleType:
    """Import the Triton kernels, when they are first needed: that is slow, and Triton is not on every platform.

    Raises
    ------
    ImportError
        If Triton is not installed; x is the tensor that asks for it.
    """
    try:
        from gpuph.kernels import triton
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "triton":
            raise
        raise ImportError(
            f"tensors on {x.device} need the Triton kernels, and Triton is not installed: install `triton`, on Windows"
            ' `triton-windows`, or compute on the CPU with gpuph.use_kernels("cpu") or GPUPH_KERNELS=cpu'
        ) from error
    return triton
