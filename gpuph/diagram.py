"""Persistence diagrams of a batch: what `gpuph.persistence` returns and `gpuph.match` takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import checks, debug


@dataclass(frozen=True)
class Diagram:
    """The points of one dimension for N windows, padded to K columns.

    `diagram[index]` selects windows by a slice, a mask of shape (N,) or window numbers of shape (M,), given as tensor,
    array or list. A single number is not an index: `diagram[i : i + 1]` is the diagram of window i, and
    `diagram.to_list()[i]` has its points.

    Attributes
    ----------
    birth, death : Tensor, shape (N, K)
        Filtration values, in the dtype of the input and differentiable with respect to it. The death of an
        essential class is +inf. Padding has birth = death = 0.
    birth_index, death_index : Tensor, shape (N, K), int64
        Flat index, within the window, of the pixel that has the value. -1 for padding and for the death of an essential
        class.
    count : Tensor, shape (N,), int64
        Number of points of each window; more than K where the capacity was too small.
    """

    birth: Tensor
    death: Tensor
    birth_index: Tensor
    death_index: Tensor
    count: Tensor

    def __post_init__(self) -> None:
        checks.tensors(
            birth=self.birth,
            death=self.death,
            birth_index=self.birth_index,
            death_index=self.death_index,
            count=self.count,
        )

    @classmethod
    def from_list(cls, points: Sequence[Tensor]) -> Diagram:
        """Make a diagram from N tensors of shape (n_i, 2) with births and deaths; the inverse of `to_list`.

        Pixels are unknown: every index is -1. Gradients flow back to `points`.

        Examples
        --------
        >>> import torch
        >>> from gpuph import Diagram
        >>> Diagram.from_list([torch.tensor([[0.0, 2.0], [1.0, 4.0]]), torch.zeros(0, 2)]).count
        tensor([2, 0])
        """
        listed = isinstance(points, Sequence) and not isinstance(points, (str, bytes))
        if not listed and not (isinstance(points, Tensor) and points.dim() > 0):
            raise TypeError(f"points must be a sequence of tensors of shape (n, 2), got {checks.shown(points)}")
        for window in points:
            if not isinstance(window, Tensor) or window.dtype not in checks.FLOATS:
                came = f"one of {window.dtype}" if isinstance(window, Tensor) else f"with {checks.shown(window)}"
                raise TypeError(f"points must be a sequence of floating-point tensors of shape (n, 2), got {came}")
            if window.dim() != 2 or window.shape[1] != 2:
                raise ValueError(f"points: every tensor must have the shape (n, 2), got {tuple(window.shape)}")
        if len({window.dtype for window in points}) > 1:
            raise TypeError(f"points must be of one dtype, got {sorted({str(window.dtype) for window in points})}")
        if len({window.device for window in points}) > 1:
            raise ValueError(f"points must be on one device, got {sorted({str(window.device) for window in points})}")
        if len(points) == 0:
            empty = torch.zeros(0, 0)
            index = torch.zeros(0, 0, dtype=torch.int64)
            return cls(empty, empty, index, index, torch.zeros(0, dtype=torch.int64))
        padded = torch.nn.utils.rnn.pad_sequence(list(points), batch_first=True)
        index = torch.full(padded.shape[:2], -1, dtype=torch.int64, device=padded.device)
        count = torch.tensor([len(window) for window in points], device=padded.device)
        return cls(padded[..., 0], padded[..., 1], index, index, count)

    def __getitem__(self, windows: slice | Tensor | np.ndarray | list[int] | list[bool]) -> Diagram:
        """Return the diagram of the windows that a slice, a mask or a list of window numbers selects."""
        if not isinstance(windows, slice):
            windows = _window_numbers(windows)
        parts = (self.birth, self.death, self.birth_index, self.death_index, self.count)
        return type(self)(*(part[windows] for part in parts))

    @property
    def mask(self) -> Tensor:
        """Tensor, shape (N, K), bool: True for points, False for padding."""
        return torch.arange(self.birth.shape[1], device=self.birth.device) < self.count[:, None]

    @property
    def overflow(self) -> Tensor:
        """Tensor, shape (N,), bool: True where only the K longest of `count` points were kept."""
        return self.count > self.birth.shape[1]

    def to_list(self) -> list[Tensor]:
        """Return N tensors of shape (n_i, 2) with births and deaths, without padding; waits for the device."""
        points = torch.stack((self.birth, self.death), dim=-1)
        return [window[:n] for window, n in zip(points, self.count.tolist(), strict=True)]


class SuperlevelDiagram(Diagram):
    """The points of one dimension of superlevel sets: births are above deaths, and an essential class dies at -inf."""


def _window_numbers(index: object) -> Tensor:
    """Return a mask or window numbers as a tensor of shape (n,); raise for anything else."""
    if isinstance(index, (Tensor, np.ndarray, list)):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):  # a list of something else
            found = torch.as_tensor(index, dtype=None if len(index) else torch.int64)
            if found.dtype in (torch.bool, torch.int32, torch.int64) and found.dim() == 1:
                return found
    raise TypeError(
        "a Diagram's index must be a slice, a mask of shape (N,) or a list of window numbers, got"
        f" {checks.shown(index)}; for window i, diagram[i : i + 1] is its diagram and diagram.to_list()[i] its points"
    )


def is_superlevel(diagram: Diagram) -> bool:
    """Return whether births are above deaths."""
    return isinstance(diagram, SuperlevelDiagram)


def sublevel(diagram: Diagram) -> tuple[Tensor, Tensor]:
    """Return births and deaths, negated for superlevel sets, so that no death is below its birth."""
    if is_superlevel(diagram):
        return -diagram.birth, -diagram.death
    return diagram.birth, diagram.death


def check_diagram(name: str, diagram: object) -> None:
    """Raise unless the births, deaths and counts of a Diagram have matching shapes, dtypes and devices.

    Pixels are not checked, as a matching does not depend on them; neither are the values of counts.
    """
    if not isinstance(diagram, Diagram):
        raise TypeError(f"{name} must be a gpuph.Diagram, got {type(diagram).__name__}")
    birth, death, count = diagram.birth, diagram.death, diagram.count
    shape, device = birth.shape, birth.device
    if birth.dtype not in checks.FLOATS or death.dtype != birth.dtype:
        raise TypeError(
            f"{name} must have births and deaths of one floating-point dtype, got {birth.dtype} and {death.dtype}"
        )
    if len(shape) != 2 or death.shape != shape:
        raise ValueError(
            f"{name} must have births and deaths of one shape (N, K), got {tuple(shape)} and {tuple(death.shape)}"
        )
    if len(count.shape) != 1 or len(count) != shape[0]:
        raise ValueError(f"{name} must have counts of shape ({shape[0]},), got {tuple(count.shape)}")
    if count.dtype != torch.int64:
        raise TypeError(f"{name}.count must be int64, got {count.dtype}")
    for field, other in (("death", death.device), ("count", count.device)):
        if other != device:
            raise ValueError(f"{name}.{field} must be on the device of the births, {device}, got {other}")


class Diagrams(Mapping[int, Diagram]):
    """The diagrams of a batch by dimension: `diagrams[1]` is the `Diagram` of its loops.

    Attributes
    ----------
    status : Tensor, shape (N,), int32
        0; or 1 where the window holds a NaN, so that its diagrams are empty; or 2 where the loops of a volume exceeded
        their workspace on a GPU, so that the diagram of dimension 1 is empty.
    capacity : int
        The argument of `gpuph.persistence` that sizes this workspace, or its default.
    """

    def __init__(self, by_dim: dict[int, Diagram], status: Tensor, capacity: int) -> None:
        if not isinstance(by_dim, dict) or not all(isinstance(diagram, Diagram) for diagram in by_dim.values()):
            raise TypeError(f"by_dim must be a dict of dimensions to Diagrams, got {checks.shown(by_dim)}")
        checks.tensors(status=status)
        self._by_dim = by_dim
        self.status = status
        self.capacity = checks.integer("capacity", capacity)

    def __getitem__(self, dim: int) -> Diagram:
        try:
            return self._by_dim[dim]
        except KeyError:
            raise KeyError(f"dimension {dim} was not computed; there are {tuple(self._by_dim)}") from None

    def __iter__(self) -> Iterator[int]:
        return iter(self._by_dim)

    def __len__(self) -> int:
        return len(self._by_dim)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{dim}: {tuple(diagram.birth.shape)}" for dim, diagram in self.items())
        return f"Diagrams({{{shapes}}})"

    def check(self) -> None:
        """Raise deferred errors and warn about overflow; waits for the device.

        Raises
        ------
        ValueError
            If a window holds a NaN.
        RuntimeError
            If the loops of a volume exceeded their workspace; the message says how to enlarge it.

        Warns
        -----
        RuntimeWarning
            If a diagram overflowed its capacity, so that only the longest pairs were kept.
        """
        debug.raise_status(self.status, ("x",), self.capacity)
        for dim, diagram in self.items():
            debug.warn_overflow(f"dimension {dim} of x", diagram.count, diagram.birth.shape[1])
