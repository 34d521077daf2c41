"""Persistence diagrams of a batch: what `gpuph.persistence` returns and `gpuph.match` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from typing_extensions import NamedTuple, Self

from .. import checks, debug
from . import storage
from .arguments import device_or_dtype, list_of_points, window_index

A = TypeVar("A")


class Parts(NamedTuple, Generic[A]):
    """The fields of a `Diagram`, as tensors or as arrays."""

    birth: A
    death: A
    birth_index: A
    death_index: A
    count: A  # type: ignore[assignment]  # hides tuple.count


@dataclass(frozen=True)
class Diagram:
    """The points of one dimension for N windows, padded to K columns.

    A Diagram is a sequence of N windows: `diagram[i]` is the Diagram of window i, with N = 1, and
    `diagram.to_list()[i]` has its points. `diagram[index]` also selects windows by a slice, a mask of shape (N,) or
    window numbers of shape (M,), given as a tensor, an array or a list.

    PyTorch's DataLoader joins diagrams into a batch and pins them; `torch.save` and `torch.load` take them.

    Attributes
    ----------
    birth, death : Tensor, shape (N, K)
        Filtration values, in the dtype of the input and differentiable with respect to it. The death of an
        essential class is +inf (-inf in a `SuperlevelDiagram`). Padding has birth = death = 0.
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
    def from_list(cls, points: Sequence[Tensor]) -> Self:
        """Make a diagram from N tensors of shape (n_i, 2) with births and deaths; the inverse of `to_list`.

        Pixels are unknown: every index is -1. Gradients flow back to `points`.

        Examples
        --------
        >>> import torch
        >>> from gpuph import Diagram
        >>> Diagram.from_list([torch.tensor([[0.0, 2.0], [1.0, 4.0]]), torch.zeros(0, 2)]).count
        tensor([2, 0])
        """
        points = list_of_points(points)
        if len(points) == 0:
            empty = torch.zeros(0, 0)
            index = torch.zeros(0, 0, dtype=torch.int64)
            return cls(empty, empty, index, index, torch.zeros(0, dtype=torch.int64))
        padded = torch.nn.utils.rnn.pad_sequence(points, batch_first=True)
        index = torch.full(padded.shape[:2], -1, dtype=torch.int64, device=padded.device)
        count = torch.tensor([len(window) for window in points], device=padded.device)
        return cls(padded[..., 0], padded[..., 1], index, index, count)

    @classmethod
    def cat(cls, diagrams: Sequence[Self]) -> Self:
        """Join the windows of diagrams, which may differ in their number of columns.

        Where the columns of some diagrams have to be padded, their counts are those of the points that they hold, and a
        diagram that has overflowed warns on the CPU.

        Examples
        --------
        >>> import torch
        >>> from gpuph import Diagram
        >>> a, b = (Diagram.from_list([torch.rand(n, 2)]) for n in (2, 3))
        >>> Diagram.cat([a, b]).count
        tensor([2, 3])
        """
        first, columns = check_several("diagrams", diagrams), max(each.birth.shape[1] for each in diagrams)
        parts = []
        for each in diagrams:
            short = columns - each.birth.shape[1]
            if short and debug.checks_now(each.count):
                debug.warn_overflow("diagrams", each.count, each.birth.shape[1])
            count = each.count.clamp(max=each.birth.shape[1]) if short else each.count
            padding = zip(each._parts()[:4], (0.0, 0.0, -1, -1), strict=True)
            parts.append([*(pad(part, (0, short), value=value) for part, value in padding), count])
        return type(first)(*(torch.cat(each) for each in zip(*parts, strict=True)))

    @classmethod
    def load(cls, file: storage.File) -> Diagram:
        """Read a diagram that `save` wrote, as tensors of the CPU; a SuperlevelDiagram stays one.

        Raises
        ------
        ValueError
            If the file is not one that `save` wrote.
        """
        return storage.read(file, from_arrays)

    def save(self, file: storage.File) -> None:
        """Write a NumPy archive, without pickle, to a path or an open file.

        It has the arrays `birth`, `death`, `birth_index`, `death_index` and `count`, and the names of the class and of
        the dtype. bfloat16, which NumPy does not have, is written as float32.
        """
        storage.write(file, to_arrays(self))

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.count)

    def __iter__(self) -> Iterator[Self]:
        """Iterate over the diagrams of single windows."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, windows: int | slice | Tensor | np.ndarray | list[int] | list[bool]) -> Self:
        """Return the diagram of one window, or of those that a slice, a mask or a list of window numbers selects."""
        chosen = window_index(windows, len(self))
        return self._map(lambda part: part[chosen])

    def to(self, target: torch.device | str | int | torch.dtype, *, non_blocking: bool = False) -> Self:
        """Move to a device, or convert births and deaths to a floating-point dtype."""
        place = device_or_dtype(target)
        move = partial(torch.Tensor.to, non_blocking=checks.boolean("non_blocking", non_blocking))
        if isinstance(place, torch.device):
            return self._map(lambda part: move(part, place))
        return replace(self, birth=move(self.birth, place), death=move(self.death, place))

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self._map(torch.Tensor.cpu)

    def detach(self) -> Self:
        """Return the diagram without its gradients."""
        return self._map(torch.Tensor.detach)

    def pin_memory(self) -> Self:
        """Copy to page-locked memory, from which copies to a GPU need not block."""
        return self._map(torch.Tensor.pin_memory)

    def numpy(self) -> Parts[NDArray[Any]]:
        """Return NumPy arrays, without gradients, as a named tuple; waits for the device. bfloat16 becomes float32."""
        return Parts(*(storage.as_array(part) for part in self._parts()))

    def to_gudhi(self) -> list[NDArray[np.float64]]:
        """Return an array of shape (n_i, 2) for each window, as GUDHI's distances and representations take them.

        The arrays of a SuperlevelDiagram have births above deaths; negate them for GUDHI, which expects the opposite.
        """
        return [storage.as_array(window).astype(np.float64) for window in self.to_list()]

    def finite(self) -> Self:
        """Return the diagram without the points that have an infinite coordinate, such as essential classes.

        The others keep their order and their gradients. Counts are those of the points that are left.
        """
        keep = self.mask & self.birth.isfinite() & self.death.isfinite()
        kept, order = keep.sort(dim=1, descending=True, stable=True)
        return self._map(
            lambda part: (
                part.gather(1, order).where(kept, 0.0 if part.is_floating_point() else -1)
                if part.dim() == 2
                else keep.sum(1)
            )
        )

    def _parts(self) -> Parts[Tensor]:
        return Parts(self.birth, self.death, self.birth_index, self.death_index, self.count)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(*(function(part) for part in self._parts()))

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


D = TypeVar("D", bound="Diagram")


def to_arrays(diagram: Diagram) -> dict[str, NDArray[Any]]:
    """Return the fields, the class and the dtype of a diagram as arrays."""
    names = {"kind": np.array(type(diagram).__name__), "dtype": np.array(str(diagram.birth.dtype))}
    return names | diagram.numpy()._asdict()


def from_arrays(arrays: storage.Arrays) -> Diagram:
    """Return the diagram that `to_arrays` was given; raise if the arrays are not those of one."""
    kind = {kind.__name__: kind for kind in (Diagram, SuperlevelDiagram)}[str(arrays["kind"])]
    parts = Parts(*(torch.from_numpy(arrays[name]) for name in Parts._fields))
    diagram = kind(*parts).to(getattr(torch, str(arrays["dtype"]).removeprefix("torch.")))
    check_diagram("file", diagram)
    if not parts.birth.shape == parts.birth_index.shape == parts.death_index.shape:
        raise ValueError("births and their pixels differ in shape")
    return diagram


def check_several(name: str, diagrams: Sequence[D]) -> D:
    """Return the first of several diagrams; raise unless they are of one kind, dtype and device."""
    if not isinstance(diagrams, (list, tuple)) or not all(isinstance(each, Diagram) for each in diagrams):
        raise TypeError(f"{name} must be a list of Diagrams, got {checks.shown(diagrams)}")
    if not diagrams:
        raise ValueError(f"{name} must hold at least one Diagram, got none")
    first: D = diagrams[0]
    for each in diagrams:
        check_diagram(name, each)
        if type(each) is not type(first):
            raise TypeError(f"{name} must be of one kind, got {type(first).__name__} and {type(each).__name__}")
        if each.birth.dtype != first.birth.dtype:
            raise TypeError(f"{name} must be of one dtype, got {first.birth.dtype} and {each.birth.dtype}")
        if each.birth.device != first.birth.device:
            raise ValueError(f"{name} must be on one device, got {first.birth.device} and {each.birth.device}")
    return first


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
        hint = "; take one dimension, such as diagrams[1]" if isinstance(diagram, Mapping) else ""
        raise TypeError(f"{name} must be a gpuph.Diagram, got {type(diagram).__name__}{hint}")
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
