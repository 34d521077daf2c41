"""Persistence diagrams of a batch: what `gpuph.persistence` returns and `gpuph.match` takes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_LOST_LOOPS = 2  # as a status


@dataclass(frozen=True)
class Diagram:
    """The points of one dimension for N windows, padded to K columns.

    Attributes
    ----------
    birth, death : Tensor, shape (N, K)
        Filtration values, in the dtype of the input and differentiable with respect to it. The death of an
        essential class is +inf. Padding has birth = death = 0.
    birth_index, death_index : Tensor, shape (N, K), int64
        Flat index, within the window, of the pixel that gave the value. -1 for padding and for the death of an
        essential class.
    count : Tensor, shape (N,), int64
        How many points each window really has; more than K where the capacity was too small.
    """

    birth: Tensor
    death: Tensor
    birth_index: Tensor
    death_index: Tensor
    count: Tensor

    @classmethod
    def from_list(cls, points: Sequence[Tensor]) -> Diagram:
        """Make a diagram from N tensors of shape (n_i, 2) with births and deaths; the inverse of `to_list`.

        Pixels are unknown (every index is -1); gradients flow back to `points`.

        Examples
        --------
        >>> import torch
        >>> from gpuph import Diagram
        >>> Diagram.from_list([torch.tensor([[0.0, 2.0], [1.0, 4.0]]), torch.zeros(0, 2)]).count
        tensor([2, 0])
        """
        for window in points:
            if not isinstance(window, Tensor) or not window.is_floating_point():
                raise TypeError("points must be a sequence of floating-point tensors of shape (n, 2)")
            if window.dim() != 2 or window.shape[1] != 2:
                raise ValueError(f"points: every tensor must have the shape (n, 2), got {tuple(window.shape)}")
        if len({window.dtype for window in points}) > 1:
            raise TypeError(f"points must be of one dtype, got {sorted({str(window.dtype) for window in points})}")
        if len(points) == 0:
            empty = torch.zeros(0, 0)
            index = torch.zeros(0, 0, dtype=torch.int64)
            return cls(empty, empty, index, index, torch.zeros(0, dtype=torch.int64))
        padded = torch.nn.utils.rnn.pad_sequence(list(points), batch_first=True)
        index = torch.full(padded.shape[:2], -1, dtype=torch.int64, device=padded.device)
        count = torch.tensor([len(window) for window in points], device=padded.device)
        return cls(padded[..., 0], padded[..., 1], index, index, count)

    def __getitem__(self, windows: slice) -> Diagram:
        """The diagram of some of the windows: `diagram[:n]`."""
        parts = (self.birth, self.death, self.birth_index, self.death_index, self.count)
        return Diagram(*(part[windows] for part in parts))

    @property
    def mask(self) -> Tensor:
        """Tensor, shape (N, K), bool: True for points, False for padding."""
        return torch.arange(self.birth.shape[1], device=self.birth.device) < self.count[:, None]

    @property
    def overflow(self) -> Tensor:
        """Tensor, shape (N,), bool: True where only the K longest of `count` points were kept."""
        return self.count > self.birth.shape[1]

    def to_list(self) -> list[Tensor]:
        """Return N tensors of shape (n_i, 2) with births and deaths, without padding. Waits for the device."""
        points = torch.stack((self.birth, self.death), dim=-1)
        return [window[:n] for window, n in zip(points, self.count.tolist(), strict=True)]


class Diagrams(Mapping[int, Diagram]):
    """The diagrams of a batch by dimension: `diagrams[1]` is the `Diagram` of its loops.

    Attributes
    ----------
    status : Tensor, shape (N,), int32
        0, or 1 where the window holds a NaN (and its diagrams are empty), or 2 where the loops of a volume outgrew
        the memory that kernels for a GPU set aside for them (and the diagram of dimension 1 is empty).
    capacity : int
        The argument of `gpuph.persistence` that this memory goes by, or what it comes to by default.
    """

    def __init__(self, by_dim: dict[int, Diagram], status: Tensor, capacity: int) -> None:
        self._by_dim = by_dim
        self.status = status
        self.capacity = capacity

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
        """Say what may be wrong. Waits for the device, where errors do not raise by themselves.

        Raises
        ------
        ValueError
            If a window holds a NaN.
        RuntimeError
            If the loops of a volume outgrew their memory; it says how to give them more.

        Warns
        -----
        RuntimeWarning
            If a diagram had no room for all pairs, so that only the longest were kept.
        """
        raise_status(self.status, ("x",), self.capacity)
        for dim, diagram in self.items():
            warn_overflow(f"dimension {dim} of x", diagram)


def raise_status(status: Tensor, names: Sequence[str], capacity: int) -> None:
    """Raise if a window holds a NaN, or has lost its loops.

    status, capacity : of `Diagrams`. names : the arguments that the windows came from, in equal parts.
    """
    if np.count_nonzero(status.cpu().numpy()):  # for so few numbers, PyTorch takes ten times as long
        window, each = int(status.nonzero()[0]), len(status) // len(names)
        name, place = names[window // each], window % each
        if int(status[window]) == _LOST_LOOPS:
            raise RuntimeError(
                f"{name}: the loops of its window {place} outgrew the memory set aside for them, and are missing;"
                f" raise capacity, which was {capacity}, as more means more memory; or take smaller windows,"
                ' or gpuph.use_kernels("cpu"), which asks for memory as it goes'
            )
        raise ValueError(f"{name} must have no NaN, but its window {place} has one")


def warn_overflow(name: str, diagram: Diagram) -> None:
    """Warn if a diagram had no room for all pairs."""
    overflow = diagram.overflow
    if overflow.any():
        window, columns = int(overflow.nonzero()[0]), diagram.birth.shape[1]
        warnings.warn(
            f"{name}: only the {columns} longest of {int(diagram.count[window])} pairs of window {window} were kept;"
            f" raise capacity, which was {columns}, to keep more",
            RuntimeWarning,
            stacklevel=3,
        )
