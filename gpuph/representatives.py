"""Representatives: the pixels of the component, the loop or the cavity that each pair of a diagram stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from . import arrays, checks, debug, ops
from .arrays import ArrayLike
from .diagram import Diagram, Diagrams
from .diagram.diagram import check_diagram, is_superlevel
from .persistence import windows_of


@dataclass(frozen=True)
class Representatives:
    """The pixels of each pair of a `Diagram`, in its columns.

    `representatives[i, k]` are the pixels of pair k of window i, and `representatives.mask(i, k)` is their mask. Both
    are slices of one list, so that pairs can be chosen and summed up by tensors; see `start`.

    Attributes
    ----------
    pixels : Tensor, shape (M,), int64
        Flat indices, within the window, of the pixels of all pairs.
    start, stop : Tensor, shape (N, K), int64
        Pair k of window i has the pixels `pixels[start[i, k]:stop[i, k]]`: none if it is padding. All essential classes
        share one slice.
    window : tuple of int
        Size of a window: (H, W), (D, H, W) or (L,).
    """

    pixels: Tensor
    start: Tensor
    stop: Tensor
    window: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.start)

    def __getitem__(self, pair: tuple[int, int]) -> Tensor:
        """Return the pixels of one pair, shape (n,), given the numbers of its window and of its column."""
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"the index must be two numbers, of a window and of a pair, got {checks.shown(pair)}")
        place = [checks.integer("index", part, least=-checks.LARGEST) for part in pair]
        for part, size, name in zip(place, self.start.shape, ("window", "pair"), strict=True):
            if not -size <= part < size:
                raise IndexError(f"{name} {part} is out of range of representatives of {size} {name}s")
        window, column = place
        return self.pixels[int(self.start[window, column]) : int(self.stop[window, column])]

    def mask(self, window: int, pair: int) -> Tensor:
        """Return the mask of one pair's pixels, in the shape of the window, bool."""
        mask = torch.zeros(math.prod(self.window), dtype=torch.bool, device=self.pixels.device)
        mask[self[window, pair]] = True
        return mask.view(self.window)

    def to_list(self) -> list[list[Tensor]]:
        """Return, for each window, a list of the pixels of each pair that has any; waits for the device."""
        bounds = zip(self.start.tolist(), self.stop.tolist(), strict=True)
        return [[self.pixels[i:j] for i, j in zip(*of_window, strict=True) if i < j] for of_window in bounds]

    @property
    def count(self) -> Tensor:
        """Tensor, shape (N, K), int64: the number of pixels of each pair, 0 for padding."""
        return self.stop - self.start


@overload
def representatives(
    x: ArrayLike,
    diagrams: Diagrams,
    dims: int | Sequence[int] | None = None,
    construction: str = "T",
    *,
    filled: bool = False,
    batched: bool = True,
) -> dict[int, Representatives]: ...


@overload
def representatives(
    x: ArrayLike,
    diagrams: Diagram,
    dims: int,
    construction: str = "T",
    *,
    filled: bool = False,
    batched: bool = True,
) -> Representatives: ...


def representatives(
    x: ArrayLike,
    diagrams: Diagrams | Diagram,
    dims: int | Sequence[int] | None = None,
    construction: str = "T",
    *,
    filled: bool = False,
    batched: bool = True,
) -> dict[int, Representatives] | Representatives:
    """Find the pixels that persistence pairs stand for: components, loops of images, and cavities of volumes.

    - In dimension 0, a pair has the component that it ends: the pixels that are connected to the birth pixel by pixels
      before the death pixel. An essential class has the whole window.
    - In dimension 1 of images, a pair has its loop: the pixels around its cavity. It passes the birth pixel, encloses
      the death pixel, and its values are at most the birth. In order, from the birth pixel on, they make a closed walk
      in which each pixel is a neighbour of the next, and the last one of the first. A pixel that the walk passes twice
      is listed twice.
    - In dimension 2 of volumes, a pair has the shell of its cavity: the voxels that touch it, in no particular order.

    The cavity of a pair is what the death fills: the region of pixels after the birth pixel that holds the death pixel.
    `filled=True` returns it. It may have holes, with smaller pixels or with other cavities. The loop leaves them out,
    except where the birth pixel is in one: there, the birth joins the cavity with another in that hole. The boundary of
    the hole comes first, then the outer one, and the only step between pixels that are not neighbours separates them.
    The shell includes the boundaries of all holes.

    "Before" and "after" refer to the order of the pixels by value and, among equals, by index, as in `persistence`.
    Pixels connect as those of the construction do; those of cavities connect in the opposite way, along the axes in T,
    and also at corners in V.

    Parameters
    ----------
    x : array_like, shape (N, H, W), (N, D, H, W) or (N, L)
        The windows that were passed to `persistence`.
    diagrams : Diagrams or Diagram
        What `persistence` returned, or a part of it: pairs may be missing, such as short ones, and be in other columns.
        Diagrams of superlevel sets are recognized by their class, `SuperlevelDiagram`.
    dims : int or sequence of int
        The dimensions that are wanted, by default all that `diagrams` has. For a `Diagram`, its dimension.
    construction : {"T", "V"}
        As it was passed to `persistence`.
    filled : bool
        Return cavities, and not the loops or shells around them. Dimension 0 is not affected.
    batched : bool
        If False, `x` is one window, of shape (H, W), (D, H, W) or (L,).

    Returns
    -------
    dict of int to Representatives, or Representatives
        The pixels of each pair, by dimension; for a `Diagram`, those of its dimension. They are on the device of `x`
        and have no gradient: index `x` with them for one.

    Raises
    ------
    TypeError
        If `x` is not an array of real numbers, `diagrams` is neither Diagrams nor a Diagram, or another argument has a
        wrong type.
    ValueError
        If `dims` includes dimension 1 of volumes, whose loops are not known; if a pair is not one of the windows; or if
        another argument is not one of those above.

    KeyError
        If `diagrams` does not have one of the dimensions.

    Warns
    -----
    UserWarning
        Once in a process, if `x` is not on the CPU: it is copied to the CPU, and the pixels back.

    Notes
    -----
    The boundary of a cavity is a cycle that is born and dies with its pair, as dimension n - 1 is dual to components
    (Obayashi, "Volume-optimal cycle", 2018; Schweinhart, "Statistical topology of embedded graphs", 2015). Time and
    memory grow with the number of pixels in the result; components and cavities may be nested.

    Examples
    --------
    A dark ring around a bright pixel. In T, the corners are not a part of the loop, as pixels connect at corners.

    >>> import torch, gpuph
    >>> x = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> diagrams = gpuph.persistence(x)
    >>> gpuph.representatives(x, diagrams[1], 1)[0, 0]
    tensor([1, 5, 7, 3])
    >>> gpuph.representatives(x, diagrams[1], 1, filled=True)[0, 0]
    tensor([4])

    Of a signal, the component of the second pair: the basin around the higher of its two minima dies at 3.

    >>> x = [0, 3, 1, 2, 4]
    >>> gpuph.representatives(x, gpuph.persistence(x, batched=False), batched=False)[0][0, 1]
    tensor([2, 3])
    """
    if not isinstance(diagrams, (Diagram, Diagrams)):
        raise TypeError(f"diagrams must be gpuph.Diagrams or a gpuph.Diagram, got {checks.shown(diagrams)}")
    if isinstance(diagrams, Diagram) and dims is None:
        raise TypeError("dims must be the dimension of the Diagram, such as 1 for diagrams[1]; it was not given")
    x = arrays.as_floats("x", x)
    windows, wanted = windows_of("x", x, dims, batched=checks.boolean("batched", batched))
    windows = windows.detach() if windows.dtype in (torch.float32, torch.float64) else windows.detach().float()
    is_top, filled = checks.construction(construction) == "T", checks.boolean("filled", filled)
    chosen = checks.dims([*diagrams] if wanted is None else wanted, windows.dim() - 1)
    if isinstance(diagrams, Diagram) and len(chosen) > 1:
        raise ValueError(f"dims must be the one dimension of the Diagram, got {chosen}")
    found = {}
    for dim in chosen:
        diagram = diagrams if isinstance(diagrams, Diagram) else diagrams[dim]
        _check(diagram, windows, dim)
        index = torch.stack((diagram.birth_index, diagram.death_index), dim=1)
        superlevel = is_superlevel(diagram)
        sets = ops.representatives(windows, index, dim, top=is_top, superlevel=superlevel, filled=filled)
        found[dim] = Representatives(sets.pixels, sets.start, sets.stop, tuple(x.shape[batched:]))
    return found[chosen[0]] if isinstance(diagrams, Diagram) else found


def _check(diagram: Diagram, windows: Tensor, dim: int) -> None:
    """Raise unless a diagram has the pixels of pairs of as many windows, in a dimension whose pixels can be found."""
    rank = windows.dim() - 1
    if 0 < dim < rank - 1:
        raise ValueError(
            f"dims must be of {(0, rank - 1)} for volumes, got {dim}: the loops of volumes have no representatives here"
        )
    check_diagram("diagrams", diagram)
    for name, index in (("birth_index", diagram.birth_index), ("death_index", diagram.death_index)):
        if index.shape != diagram.birth.shape or index.dtype != torch.int64:
            raise ValueError(
                f"diagrams: {name} must be int64, of the shape of the births, {tuple(diagram.birth.shape)}, got"
                f" {index.dtype} and {tuple(index.shape)}"
            )
        if index.device != windows.device:
            raise ValueError(f"diagrams must be on the device of x, {windows.device}, got {index.device}")
    if len(diagram) != len(windows):
        raise ValueError(f"diagrams must have as many windows as x, {len(windows)}, got {len(diagram)}")
    if debug.checks_now(diagram.count) and diagram.count.any() and not (diagram.birth_index >= 0).any():
        raise ValueError("diagrams must know the pixels of their pairs, got a diagram without any, as from_list makes")
