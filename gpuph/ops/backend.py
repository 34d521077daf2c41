"""The choice of the kernels that an operator runs: by the device of its tensors, unless the caller chooses."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gpuph.kernels import Points

from .. import checks

if TYPE_CHECKING:
    from gpuph.kernels import triton as triton
else:
    triton = None  # imported by `by_triton`: the import is slow, and Triton is not on every platform

Array = NDArray[Any]

KERNELS = ("auto", "cpu", "triton")
_chosen = checks.choice("GPUPH_KERNELS", os.environ.get("GPUPH_KERNELS") or "auto", KERNELS)


def use_kernels(which: str) -> contextlib.AbstractContextManager[None]:
    """Choose the kernels by hand, for the whole process, while the context lasts.

    The environment variable GPUPH_KERNELS sets the initial choice; an empty one counts as "auto".

    Parameters
    ----------
    which : {"auto", "cpu", "triton"}
        "auto": by the device of the tensors, with the Numba kernels for the CPU and for MPS, whose tensors are copied
        there and back. "triton": the Triton kernels, even on CPU tensors, in Triton's interpreter
        (if TRITON_INTERPRET=1 is set before the first use) or another one that Triton has been given. "cpu": the Numba
        kernels, even on tensors of other devices, which are copied there and back.

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
    """Return whether an operator on x runs the Triton kernels; if so, `backend.triton` has been imported.

    Raises
    ------
    ImportError
        If it runs them, but Triton is not installed.
    """
    if _chosen == "auto" and x.device.type == "mps":
        _warn("there are no kernels for MPS: its tensors are copied to the CPU and back")
        return False
    chosen = _chosen == "triton" or (_chosen == "auto" and x.device.type != "cpu")
    if chosen and triton is None:
        _import_triton(x.device)
    return chosen


def _import_triton(device: torch.device) -> None:
    global triton
    try:
        from gpuph.kernels import triton
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "triton":
            raise
        raise ImportError(
            f"tensors on {device} need the Triton kernels, and Triton is not installed: install `triton`, on Windows"
            ' `triton-windows`, or compute on the CPU with gpuph.use_kernels("cpu") or GPUPH_KERNELS=cpu'
        ) from error


def current_device(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Make the GPU of x the current one, as kernels are launched there; do nothing for other devices."""
    return torch.cuda.device_of(x)  # type: ignore[no-untyped-call]


def finest(device: torch.device) -> torch.dtype:
    """Return the most precise floating-point dtype of a device: float64, or float32 on MPS."""
    return torch.float32 if device.type == "mps" else torch.float64


def array(x: Tensor) -> Array:
    """Return a tensor's values as a contiguous array."""
    return x.contiguous().cpu().numpy()


def array_or_none(x: Tensor | None) -> Array | None:
    """Return a tensor's values as a contiguous array, and None for None."""
    return None if x is None else array(x)


def tensor(x: Array, device: torch.device) -> Tensor:
    """Return an array as a tensor of a device."""
    made = torch.from_numpy(x)
    if device.type == "cpu":
        return made
    return made.to(device, finest(device)) if made.dtype == torch.float64 else made.to(device)


def arrays(points: Points[Tensor]) -> Points[Array]:
    """Return points as contiguous arrays."""
    return Points(array(points.birth), array(points.death), array(points.count))


@functools.cache  # each message is given once
def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)


def warn_of_detour(x: Tensor, what: str) -> None:
    """Warn once if x is copied from another device to the CPU and back, unless the caller chose that."""
    if x.device.type != "cpu" and by_triton(x):
        _warn(f"{what} are computed on the CPU only: tensors of other devices are copied there and back")
