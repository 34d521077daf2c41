"""Persistent homology of batches of windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gpuph.kernels import Found, Query, Spread

from . import arrays, checks, debug, hints, ops
from .arrays import ArrayLike
from .diagram import Diagram, Diagrams, SuperlevelDiagram


def persistence(
    x: ArrayLike,
    dims: int | Sequence[int] | None = None,
    construction: str = "T",
    min_persistence: float = 0.0,
    capacity: int | None = None,
    *,
    batched: bool = True,
    superlevel: bool = False,
) -> Diagrams:
    """Compute the persistence diagrams of the sublevel sets of N windows: images, volumes or signals.

    Pixels of equal value are ordered by their flat index, ascending in the V construction and descending in T, so the
    result is unique and the same on every device.

    Parameters
    ----------
    x : array_like, shape (N, H, W), (N, D, H, W) or (N, L)
        Windows, with any strides; N may be 0. The first axis always counts windows, unless `batched` is False. So two
        axes mean signals: pass one image as `persistence(image, batched=False)`. Four axes mean volumes: pass images
        with channels, (B, C, H, W), as `x.flatten(0, 1)`.

        A tensor, an array of NumPy or of another library, on any device, that has `__dlpack__`,
        `__cuda_array_interface__` or `__array__`, or nested lists, whose floats are float64. Infinite values are
        allowed. Booleans and integers of up to 16 bits are promoted to float32, and all other integers to float64; all
        their values stay exact, and those of 64 bits beyond 2^53 raise.
    dims : int or sequence of int, optional
        Homology dimensions: 0 for connected components, 1 for the loops of images and volumes, 2 for the voids of
        volumes. All of them by default.
    construction : {"T", "V"}
        "T": pixels are top-dimensional cells, so that 8 neighbours connect, or 26 in a volume. "V": pixels are
        vertices, so that 4 neighbours connect, or 6 in a volume. For signals, both are the same.
    min_persistence : float
        Keep only pairs with abs(death - birth) > min_persistence, in filtration values.
    capacity : int, optional
        Columns K of each diagram. If a window has more pairs, the K longest are kept and `Diagram.overflow` is True.
        The default on the CPU is the largest count of the batch. On other devices, and under tracing, where shapes
        cannot depend on data, it is max(256, pixels // 4), but no more than the pairs that an image can have. On a GPU,
        the workspace for the loops of volumes is sized by the default, or by `capacity` if that is larger.
    batched : bool
        If False, `x` is one window, of shape (H, W), (D, H, W) or (L,), and N is 1.
    superlevel : bool
        Take the superlevel sets {x >= t}, for t that falls: classes are born at maxima, births are above deaths, and
        the death of an essential class is -inf. Pixels are those of the diagrams of the sublevel sets of -x, and values
        are the negated ones. The construction says how the pixels of a superlevel set connect.

    Returns
    -------
    Diagrams
        `diagrams[k]` is the `Diagram` of dimension k, or the `SuperlevelDiagram`: births and deaths (differentiable
        with respect to `x`, and in its dtype, after promotion), their pixels, and counts. Pairs are sorted by
        persistence, the longest first, then by birth index, then by death index. Each window has one essential class,
        in dimension 0.

    Raises
    ------
    TypeError
        If `x` is not an array of real numbers, or another argument has a wrong type.
    ValueError
        If `x` has the wrong rank, a window that is empty or too large, a NaN or an integer that float64 cannot hold, or
        another argument is not one of those above.
    RuntimeError
        On a GPU, if the loops of a volume exceed their workspace; a larger `capacity` helps.

        On devices other than the CPU, errors in values are deferred: the diagrams of the window are empty, and
        `Diagrams.check()` or `set_debug(True)` raises. An integer beyond 2^53 counts as a NaN there.

    Warns
    -----
    UserWarning
        Once in a process, if volumes look like images with channels: at most 4 slices of at least 256 pixels. Also if
        signals look like one image: both sides are at least 16, and the longer is at most 4 times the shorter.

    Notes
    -----
    Homology has coefficients modulo 2. The pairs come from a discrete gradient, as in Guillou, Vidal, Tierny, "Discrete
    Morse Sandwich" (2022), and the elder rule, on devices by a triplet merge tree (Smirnov & Morozov 2017). The T
    construction of f is V of -f with reversed dimensions (Bleile, Garin, Heiss, Maggs, Robins, "The persistent homology
    of dual digital image constructions", 2022). See kernels/README.md, and docs/arrays.md for arrays and shapes.

    Examples
    --------
    A dark ring around a bright pixel is a loop that lives from 0 to 5.

    >>> import torch, gpuph
    >>> x = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> loops = gpuph.persistence(x)[1]
    >>> loops.birth, loops.death, loops.death_index
    (tensor([[0.]]), tensor([[5.]]), tensor([[4]]))

    A signal with two peaks: the lower one is born at 2 and dies at 1, where it meets the higher one.

    >>> gpuph.persistence([0, 3, 1, 2, 0], batched=False, superlevel=True)[0].to_list()
    [tensor([[3., -inf],
            [2., 1.]], dtype=torch.float64)]
    """
    windows, dims = windows_of("x", x, dims, batched=checks.boolean("batched", batched))
    superlevel = checks.boolean("superlevel", superlevel)
    diagrams = diagrams_of(windows, dims, construction, min_persistence, capacity, superlevel=superlevel)
    if debug.is_eager_cpu(windows):
        debug.raise_status(diagrams.status, ("x",), diagrams.capacity)
    if debug.is_debugging():
        diagrams.check()
    return diagrams


def windows_of(
    name: str, x: ArrayLike, dims: int | Sequence[int] | None, *, batched: bool
) -> tuple[Tensor, Sequence[int] | None]:
    """Return the windows in an argument, as images or volumes of a floating-point dtype, and homology dimensions."""
    windows = arrays.as_floats(name, x)
    shape, rank = windows.shape, windows.dim() - batched
    if rank not in (1, 2, 3):
        expected = "(N, H, W), (N, D, H, W) or (N, L)" if batched else "(H, W), (D, H, W) or (L,) with batched=False"
        advice = "; batched=False takes one window" if batched and rank == 0 else ""
        raise ValueError(f"{name} must have the shape {expected}, got {tuple(shape)}{advice}")
    one = isinstance(dims, (int, np.integer)) and not isinstance(dims, bool)
    wanted: Sequence[int] | None = (dims,) if one else dims  # type: ignore[assignment]
    if not torch.compiler.is_compiling():
        hints.slices(name, shape, batched=batched)
        if batched:
            hints.signals(name, shape)
    windows = windows if batched else windows.unsqueeze(0)
    if rank == 1:
        wanted = _dims_of_signals(name, wanted, shape[0], batched=batched)
        windows = windows.unsqueeze(1)  # a signal is an image with one row
    _check_size(windows.shape, name)  # all else that `check_windows` checks is known here; checking takes a microsecond
    return windows, wanted


def _dims_of_signals(name: str, dims: Sequence[int] | None, n: int, *, batched: bool) -> Sequence[int]:
    """Check the dimensions of n signals, which may have been meant as an image."""
    try:
        return checks.dims((0,) if dims is None else dims, 1)
    except ValueError as error:
        advice = f"; {name} is read as {n} signals, for one image pass batched=False" if batched else ""
        raise ValueError(f"{error}{advice}") from None


def check_windows(x: Tensor, name: str = "x") -> None:
    """Raise unless x is a batch of windows whose pixels the kernels can number."""
    checks.floats(name, x)
    if x.dim() not in (3, 4):
        raise ValueError(f"{name} must have the shape (N, H, W) or (N, D, H, W), got {tuple(x.shape)}")
    _check_size(x.shape, name)


def _check_size(shape: Sequence[int], name: str) -> None:
    """Raise unless the kernels can number the pixels of windows of that shape, (N, *window)."""
    window = shape[1:]
    if 0 in window:
        raise ValueError(f"{name} must have windows of at least one pixel, got the shape {tuple(shape)}")
    if math.prod([size + 2 for size in window]) >= 2**31:
        raise ValueError(f"{name} must have windows of less than 2^31 pixels, border included, got {tuple(shape)}")


class Paths(NamedTuple):
    """What births and deaths with a gradient in whole paths need to know; see `gpuph.ops.spread_slopes`."""

    # From a dimension and its diagram, without gradients, to the values that births and deaths are pulled to.
    goals: Callable[[int, Diagram], tuple[Tensor, Tensor]]
    normalise: bool


def diagrams_of(
    x: Tensor,
    dims: Sequence[int] | None,
    construction: str,
    min_persistence: float = 0.0,
    capacity: int | None = None,
    *,
    superlevel: bool = False,
    paths: Paths | None = None,
) -> Diagrams:
    """Compute the diagrams of windows that were checked except for NaN, which the status reports.

    With `paths`, which need windows of float32 or float64 and sublevel sets, births and deaths have a gradient in all
    pixels that must move with them.
    """
    query = query_of(x, dims, construction, min_persistence, capacity)
    found = pairs_of(-x.detach() if superlevel else x.detach(), query)
    return diagrams_from(found, x, query, capacity_of(capacity, x.shape[1:]), superlevel=superlevel, paths=paths)


def diagrams_from(
    found: Found[Tensor], x: Tensor, query: Query, capacity: int, *, superlevel: bool, paths: Paths | None = None
) -> Diagrams:
    """Return the diagrams of windows, whose pairs were found; of the negated windows, if `superlevel`."""
    kind = SuperlevelDiagram if superlevel else Diagram
    by_dim = {}
    for dim, pairs in zip(query.dims, found.pairs, strict=True):
        if superlevel:
            pairs = pairs._replace(value=0.0 - pairs.value)  # padding stays +0
        if pairs.value.dtype != x.dtype:  # half precision
            pairs = pairs._replace(value=pairs.value.to(x.dtype))
        birth_index, death_index = pairs.index.unbind(1)
        if paths is None:
            birth, death = ops.attach(pairs, x)
        else:
            birth, death = pairs.value.unbind(1)
            diagram = Diagram(birth, death, birth_index, death_index, pairs.count)
            goal = torch.stack(paths.goals(dim, diagram), dim=1)
            birth, death = ops.attach_paths(pairs, goal, x, Spread(x.dim() - 1, dim, query.top, 0, paths.normalise))
        by_dim[dim] = kind(birth, death, birth_index, death_index, pairs.count)
    return Diagrams(by_dim, found.status, capacity)


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
