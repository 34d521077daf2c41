"""The diagrams of a batch in several dimensions: what `gpuph.persistence` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

from .. import checks, debug
from . import storage
from .arguments import device_or_dtype, window_index
from .diagram import Diagram, Parts, SuperlevelDiagram, from_arrays, to_arrays

T = TypeVar("T")


class ByDimension(Mapping[int, T]):
    """A mapping whose keys are homology dimensions, and whose KeyError lists those that were computed."""

    def __init__(self, by_dim: dict[int, T]) -> None:
        self._by_dim = by_dim

    def __getitem__(self, dim: int) -> T:
        try:
            return self._by_dim[dim]
        except KeyError:
            raise KeyError(f"dimension {dim} was not computed; there are {tuple(self._by_dim)}") from None

    def __iter__(self) -> Iterator[int]:
        return iter(self._by_dim)

    def __len__(self) -> int:
        return len(self._by_dim)


class Diagrams(ByDimension[Diagram]):
    """The diagrams of a batch by dimension: `diagrams[1]` is the `Diagram` of its loops.

    It is a mapping, so its length is the number of dimensions; `select` takes windows.

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
        super().__init__(by_dim)
        self.status = status
        self.capacity = checks.integer("capacity", capacity)

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

    @classmethod
    def cat(cls, diagrams: Sequence[Diagrams]) -> Diagrams:
        """Join the windows of several batches, which must have the same dimensions; see `Diagram.cat`."""
        if not isinstance(diagrams, (list, tuple)) or not all(isinstance(each, Diagrams) for each in diagrams):
            raise TypeError(f"diagrams must be a list of Diagrams, got {checks.shown(diagrams)}")
        dims = {tuple(each) for each in diagrams}
        if len(dims) != 1:
            raise ValueError(f"diagrams must have the same dimensions, got {sorted(dims)}")
        by_dim = {dim: Diagram.cat([each[dim] for each in diagrams]) for dim in diagrams[0]}
        return cls(by_dim, torch.cat([each.status for each in diagrams]), max(each.capacity for each in diagrams))

    @classmethod
    def load(cls, file: storage.File) -> Diagrams:
        """Read diagrams that `save` wrote, as tensors of the CPU; raise ValueError for any other file."""
        return storage.read(file, _from_arrays)

    def save(self, file: storage.File) -> None:
        """Write a NumPy archive, without pickle, to a path or an open file.

        Its arrays are `status`, `capacity`, `dims`, and those of `Diagram.save` after each dimension, as in `1.birth`.
        """
        parts = {f"{dim}.{name}": part for dim, diagram in self.items() for name, part in to_arrays(diagram).items()}
        status, capacity, dims = (torch.as_tensor(x) for x in (self.status, self.capacity, [*self]))
        about = {"status": status, "capacity": capacity, "dims": dims}
        storage.write(file, parts | {name: storage.as_array(part) for name, part in about.items()})

    def select(self, index: int | slice | Tensor | list[int] | list[bool]) -> Diagrams:
        """Return the diagrams of one window, or of those that a slice, a mask or a list of window numbers selects."""
        chosen = window_index(index, len(self.status))
        return self._map(lambda diagram: diagram[index], lambda status: status[chosen])

    def to(self, target: torch.device | str | int | torch.dtype, *, non_blocking: bool = False) -> Diagrams:
        """Move to a device, or convert births and deaths to a floating-point dtype."""
        place, non_blocking = device_or_dtype(target), checks.boolean("non_blocking", non_blocking)
        return self._map(
            lambda diagram: diagram.to(place, non_blocking=non_blocking),
            lambda status: status if isinstance(place, torch.dtype) else status.to(place, non_blocking=non_blocking),
        )

    def cpu(self) -> Diagrams:
        """Move to the CPU."""
        return self._map(Diagram.cpu, Tensor.cpu)

    def detach(self) -> Diagrams:
        """Return the diagrams without their gradients."""
        return self._map(Diagram.detach, Tensor.detach)

    def pin_memory(self) -> Diagrams:
        """Copy to page-locked memory, from which copies to a GPU need not block."""
        return self._map(Diagram.pin_memory, Tensor.pin_memory)

    def finite(self) -> Diagrams:
        """Return the diagrams without the points that have an infinite coordinate; see `Diagram.finite`."""
        return self._map(Diagram.finite, lambda status: status)

    def numpy(self) -> dict[int, Parts[NDArray[Any]]]:
        """Return the arrays of each dimension; see `Diagram.numpy`."""
        return {dim: diagram.numpy() for dim, diagram in self.items()}

    def to_gudhi(self) -> list[list[tuple[int, tuple[float, float]]]]:
        """Return, for each window, a list of (dimension, (birth, death)), as `persistence()` of GUDHI's complexes does.

        The highest dimension comes first, and the points of one dimension are in their order in the diagram.
        """
        windows: list[list[tuple[int, tuple[float, float]]]] = [[] for _ in range(len(self.status))]
        for dim in sorted(self, reverse=True):
            for window, points in zip(windows, self[dim].to_gudhi(), strict=True):
                window += [(dim, (birth, death)) for birth, death in points.tolist()]
        return windows

    def _map(self, of_diagram: Callable[[Diagram], Diagram], of_status: Callable[[Tensor], Tensor]) -> Diagrams:
        by_dim = {dim: of_diagram(diagram) for dim, diagram in self.items()}
        return type(self)(by_dim, of_status(self.status), self.capacity)


def _from_arrays(arrays: storage.Arrays) -> Diagrams:
    """Return the diagrams that `Diagrams.save` wrote; raise if the arrays are others."""
    by_dim = {}
    for dim in arrays["dims"].tolist():
        start = f"{dim}."
        own = {name.removeprefix(start): part for name, part in arrays.items() if name.startswith(start)}
        by_dim[dim] = from_arrays(own)
    return Diagrams(by_dim, torch.from_numpy(arrays["status"]), int(arrays["capacity"]))


def _collate(batch: Sequence[Any], *, collate_fn_map: object = None) -> Any:
    """Join the diagrams of samples to those of a batch, for `torch.utils.data.default_collate`."""
    return type(batch[0]).cat(batch)


default_collate_fn_map.update(dict.fromkeys((Diagram, SuperlevelDiagram, Diagrams), _collate))
torch.serialization.add_safe_globals([Diagram, SuperlevelDiagram, Diagrams])
