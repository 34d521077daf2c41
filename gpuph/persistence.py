"""Persistent homology of batches of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Found, Query

from . import checks, debug, hints, ops
from .diagram import Diagram, Diagrams


def persistence(
    x: Tensor,
    dims: Sequence[int] | None = None,
    construction: str = "T",
    min_persistence: float = 0.0,
    capacity: int | None = None,
) -> Diagrams:
    """Compute the persistence diagrams of the sublevel sets of N windows, which are images or volumes.

    Pixels of equal value are ordered by their flat index, ascending in the V construction and descending in T, so the
    result is unique and the same on every device.

    Parameters
    ----------
    x : Tensor, shape (N, H, W) or (N, D, H, W), floating point
        Windows, with any strides; N may be 0. Infinite values are allowed. Four axes mean volumes: pass images with
        channels, (B, C, H, W), as `x.flatten(0, 1)`.
    dims : sequence of int, optional
        Homology dimensions: 0 for connected components, 1 for loops, 2 for the voids of volumes. All of them by
        default.
    construction : {"T", "V"}
        "T": pixels are top-dimensional cells, so that 8 neighbours connect, or 26 in a volume. "V": pixels are
        vertices, so that 4 neighbours connect, or 6 in a volume.
    min_persistence : float
        Keep only pairs with death - birth > min_persistence, in filtration values.
    capacity : int, optional
        Columns K of each diagram. If a window has more pairs, the K longest are kept and `Diagram.overflow` is True.
        The default on the CPU is the largest count of the batch. On other devices, and under tracing, where shapes
        cannot depend on data, it is max(256, pixels // 4), but no more than the pairs that an image can have. On a GPU,
        the workspace for the loops of volumes is sized by the default, or by `capacity` if that is larger.

    Returns
    -------
    Diagrams
        `diagrams[k]` is the `Diagram` of dimension k: births and deaths (differentiable with respect to `x`), their
        pixels, and counts. Pairs are sorted by persistence, the longest first, then by birth index, then by death
        index. Each window has one essential class, in dimension 0.

    Raises
    ------
    TypeError
        If `x` is not a floating-point tensor, or another argument has a wrong type.
    ValueError
        If `x` has the wrong rank, an empty or too large window or a NaN, or another argument is not one of those above.
    RuntimeError
        On a GPU, if the loops of a volume exceed their workspace; a larger `capacity` helps.

        On devices other than the CPU, errors in values are deferred: the diagrams of the window are empty, and
        `Diagrams.check()` or `set_debug(True)` raises.

    Warns
    -----
    UserWarning
        Once in a process, if volumes look like images with channels: at most 4 slices of at least 256 pixels.

    Notes
    -----
    The pairs come from a discrete gradient, as in Guillou, Vidal, Tierny, "Discrete Morse Sandwich" (2022), and the
    elder rule, on devices by a triplet merge tree (Smirnov & Morozov 2017). The T construction of f is V of -f with
    reversed dimensions (Bleile, Garin, Heiss, Maggs, Robins, "The persistent homology of dual digital image
    constructions", 2022). See kernels/README.md.

    Examples
    --------
    A dark ring around a bright pixel is a loop that lives from 0 to 5.

    >>> import torch, gpuph
    >>> x = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> loops = gpuph.persistence(x)[1]
    >>> loops.birth, loops.death, loops.death_index
    (tensor([[0.]]), tensor([[5.]]), tensor([[4]]))
    """
    check_windows(x)
    if not torch.compiler.is_compiling():
        hints.slices("x", x.shape)
    diagrams = diagrams_of(x, dims, construction, min_persistence, capacity)
    if debug.is_eager_cpu(x):
        debug.raise_status(diagrams.status, ("x",), diagrams.capacity)
    if debug.is_debugging():
        diagrams.check()
    return diagrams


def check_windows(x: Tensor) -> None:
    """Raise unless x is a batch of windows whose pixels the kernels can number."""
    checks.floats("x", x)
    if x.dim() not in (3, 4):
        raise ValueError(f"x must have the shape (N, H, W) or (N, D, H, W), got {tuple(x.shape)}")
    if 0 in x.shape[1:]:
        raise ValueError(f"x must have windows of at least one pixel, got the shape {tuple(x.shape)}")
    if math.prod([size + 2 for size in x.shape[1:]]) >= 2**31:
        raise ValueError(f"x must have windows of less than 2^31 pixels, border included, got {tuple(x.shape)}")


def diagrams_of(
    x: Tensor,
    dims: Sequence[int] | None,
    construction: str,
    min_persistence: float = 0.0,
    capacity: int | None = None,
) -> Diagrams:
    """Compute the diagrams of windows that were checked except for NaN, which the status reports."""
    query = query_of(x, dims, construction, min_persistence, capacity)
    found = pairs_of(x.detach(), query)
    by_dim = {}
    for dim, pairs in zip(query.dims, found.pairs, strict=True):
        if pairs.value.dtype != x.dtype:  # half precision
            pairs = pairs._replace(value=pairs.value.to(x.dtype))
        birth, death = ops.attach(pairs, x)
        birth_index, death_index = pairs.index.unbind(1)
        by_dim[dim] = Diagram(birth, death, birth_index, death_index, pairs.count)
    return Diagrams(by_dim, found.status, capacity_of(capacity, x.shape[1:]))


def query_of(
    x: Tensor,
    dims: Sequence[int] | None,
    construction: str,
    min_persistence: float = 0.0,
    capacity: int | None = None,
) -> Query:
    """Return the query for the arguments of `persistence`; raise if they are not valid."""
    window = x.shape[1:]
    dims = list(range(len(window))) if dims is None else checks.dims(dims, len(window))
    top = checks.construction(construction) == "T"
    min_persistence = checks.number("min_persistence", min_persistence, 0.0)
    return Query(tuple(dims), top, min_persistence, columns_of(checks.capacity(capacity), x, window))


def pairs_of(x: Tensor, query: Query) -> Found[Tensor]:
    """Return the pairs of windows of any floating-point dtype; values are float32 for half precision."""
    return ops.persistence(x if x.dtype in (torch.float32, torch.float64) else x.float(), query)


def columns_of(capacity: int | None, x: Tensor, window: Sequence[int]) -> int | None:
    """Return the columns of a diagram of windows of that size, on x's device: None where data decides."""
    return _columns(window) if capacity is None and not debug.is_eager_cpu(x) else capacity


def capacity_of(capacity: int | None, window: Sequence[int]) -> int:
    """Return the capacity that sizes the workspace for loops: the argument, or the default if that is larger."""
    return max(capacity or 0, _columns(window))


def _columns(window: Sequence[int]) -> int:
    """Return the columns of a diagram where data cannot decide: the most possible, or a number rarely exceeded."""
    pixels = math.prod(window)
    columns = max(256, pixels // 4)
    return min(columns, pixels // 2 + 1) if len(window) == 2 else columns
