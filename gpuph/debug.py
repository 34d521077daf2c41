"""Deferred errors: what is checked at once on the CPU, and on other devices only on demand."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import is_fake

from gpuph.kernels import Status

from . import checks

_debug = False


def set_debug(on: bool) -> None:
    """Check for errors after each call, in the whole process, even where that means waiting for the device.

    On the CPU, a NaN always raises. On other devices, a NaN leaves its window without pairs and makes the loss NaN, and
    so does a volume whose loops outgrow their workspace; with debugging on, both raise, and a diagram that overflows
    its capacity warns, as `Diagrams.check` does. Calls then cannot be captured in a CUDA graph.

    Parameters
    ----------
    on : bool
        Whether to check.
    """
    global _debug
    _debug = checks.boolean("on", on)


def is_debugging() -> bool:
    """Return whether `set_debug` is on, outside of tracing."""
    return _debug and not torch.compiler.is_compiling()


def is_eager_cpu(x: Tensor) -> bool:
    """Return whether reading x's values costs nothing: on the CPU, outside of tracing.

    Shapes may then depend on data. A tensor of `FakeTensorMode` has no data, so it counts as traced.
    """
    return x.is_cpu and not torch.compiler.is_compiling() and (type(x) is Tensor or not is_fake(x))


def checks_now(x: Tensor) -> bool:
    """Return whether errors in the values of x raise in the call itself."""
    return is_eager_cpu(x) or is_debugging()


def raise_status(status: Tensor, names: Sequence[str], capacity: int) -> None:
    """Raise if a window holds a NaN or lost its loops.

    Parameters
    ----------
    status : Tensor, shape (N,), int32
        See `gpuph.kernels.status.Status`.
    names : sequence of str
        The arguments that the windows came from, in equal parts.
    capacity : int
        The capacity that determines the size of the workspace for loops; 0 if there is none to raise.
    """
    if np.count_nonzero(status.cpu().numpy()):  # for so few numbers, PyTorch takes ten times as long
        window, each = int(status.nonzero()[0]), len(status) // len(names)
        name, place = names[window // each], window % each
        if int(status[window]) == Status.LOOPS_LOST:
            raised = f"raise capacity, which was {capacity}, as the workspace grows with it; or " if capacity else ""
            raise RuntimeError(
                f"{name}: the loops of its window {place} outgrew their workspace and are missing; {raised}"
                'take smaller windows, or gpuph.use_kernels("cpu"), which allocates memory as it needs it'
            )
        raise ValueError(f"{name} must have no NaN, but its window {place} has one")


def warn_overflow(name: str, count: Tensor, columns: int) -> None:
    """Warn if a diagram has fewer columns than pairs.

    Parameters
    ----------
    name : str
        The name of the diagram in the warning.
    count : Tensor, shape (N,), int64
        The number of pairs of each window.
    columns : int
        The number of columns of the diagram.
    """
    overflow = count > columns
    if overflow.any():
        window = int(overflow.nonzero()[0])
        warnings.warn(
            f"{name}: only the {columns} longest of {int(count[window])} pairs of window {window} were kept;"
            f" raise capacity, which was {columns}, to keep more",
            RuntimeWarning,
            stacklevel=3,
        )
