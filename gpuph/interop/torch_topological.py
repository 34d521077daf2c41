"""torch_topological's layer: `from gpuph.interop.torch_topological import CubicalComplex`, not `... .nn import ...`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gpuph.kernels import Pairs

from .. import arrays, checks, debug
from ..arrays import ArrayLike
from ..persistence import check_windows, pairs_of, query_of

__all__ = ["CubicalComplex", "PersistenceInformation"]


class _Fields(NamedTuple):
    pairing: Tensor
    diagram: Tensor
    dimension: int | None = None


class PersistenceInformation(_Fields):
    """The pairs of one image in one dimension. As in torch_topological, it has indices but cannot be iterated over.

    Attributes
    ----------
    pairing : Tensor, shape (n, 2 * axes), int64
        Indices of the birth pixel along the axes of the image, then those of the death pixel.
    diagram : Tensor, shape (n, 2)
        Births and deaths, differentiable with respect to the image, and in its dtype.
    dimension : int
        The homology dimension.
    """

    __slots__ = ()
    __iter__ = None  # type: ignore[assignment]  # its losses take what can be iterated over for a list of these

    def __reduce__(self) -> tuple[type, tuple[Tensor, Tensor, int | None]]:
        """Return what pickle needs, which by default iterates."""
        return type(self), (self.pairing, self.diagram, self.dimension)


class CubicalComplex(nn.Module):
    """Compute differentiable diagrams of images, with the interface of `torch_topological.nn.CubicalComplex`.

    Parameters
    ----------
    superlevel : bool
        Take the sublevel sets of -x, whose values the diagrams then hold.
    dim : int, optional
        Axes of an image: 1 for signals, 2 for images, 3 for volumes. 2 by default.

    Raises
    ------
    TypeError, ValueError
        If `dim` is not 1, 2 or 3, or `superlevel` is not a boolean.

    Notes
    -----
    Pixels are top-dimensional cells: the T construction. Pairs are sorted by death; those of one death come longest
    first. The last pair of dimension 0 is the essential class, whose death is the maximum of the image, at the first
    pixel that has it.

    torch_topological reads images whose axes differ in length in the wrong order of axes, so its diagrams of them are
    those of other images. Here, they are right. For square images and cubes of distinct values, the pairs are the same.

    References
    ----------
    The interface is that of pytorch-topological by B. Rieck and contributors.

    Examples
    --------
    >>> import torch
    >>> from gpuph.interop.torch_topological import CubicalComplex
    >>> image = torch.tensor([[0.0, 1.0, 2.0], [3.0, 8.0, 4.0], [5.0, 6.0, 7.0]])
    >>> components, loops = CubicalComplex()(image)
    >>> loops.diagram, loops.pairing, loops.dimension
    (tensor([[6., 8.]]), tensor([[2, 1, 1, 1]]), 1)
    >>> components.diagram
    tensor([[0., 8.]])
    """

    def __init__(self, superlevel: bool = False, dim: int | None = None) -> None:
        super().__init__()
        self.superlevel = checks.boolean("superlevel", superlevel)
        self.dim = None if dim is None else checks.integer("dim", dim, least=1, most=3)

    def forward(self, x: ArrayLike) -> list[Any]:
        """Compute the diagrams of one image, of its channels, or of a batch of images with channels.

        Parameters
        ----------
        x : array_like, shape (*image), (C, *image) or (B, C, *image)
            Images with `dim` axes. All of them are computed in one call.

        Returns
        -------
        list of PersistenceInformation
            One for each dimension from 0 to `dim` - 1; or a list of such lists for channels; or lists of these for a
            batch.

        Raises
        ------
        TypeError
            If x is not an array of real numbers.
        ValueError
            If x has too few or too many axes, no pixels or, on the CPU, a NaN. On other devices, the diagrams of an
            image with a NaN are empty.

        Warns
        -----
        RuntimeWarning
            On a GPU, if an image has more pairs than `gpuph.persistence` holds by default; the longest are kept.
        """
        images = arrays.as_floats("x", x)
        rank = self.dim or 2
        lead = images.shape[: images.dim() - rank]
        if not rank <= images.dim() <= rank + 2:
            raise ValueError(
                f"x must have {rank} axes of an image, and at most those of channels and batch before them, got the"
                f" shape {tuple(images.shape)}"
            )
        size = images.shape[-rank:]
        windows = images.reshape(math.prod(lead), *size)
        if self.superlevel:
            windows = -windows
        listed = _informations(windows)
        if len(lead) == 2:
            return [listed[i * lead[1] : (i + 1) * lead[1]] for i in range(lead[0])]
        return listed if lead else listed[0]


def _informations(windows: Tensor) -> list[list[PersistenceInformation]]:
    """Return the pairs of each window (N, *image), in all dimensions."""
    rank, detached = windows.dim() - 1, windows.detach()
    if rank == 1:
        detached = detached.unsqueeze(1)  # a signal is an image with one row
    check_windows(detached, "x")
    found = pairs_of(detached, query_of(detached, range(rank), "T"))
    if debug.checks_now(detached):
        debug.raise_status(found.status, ("x",), 0)
    flat = windows.flatten(1)
    highest = flat.detach().argmax(dim=1).tolist() if len(flat) else []
    informations: list[list[PersistenceInformation]] = [[] for _ in windows]
    for dim, pairs in enumerate(found.pairs):
        debug.warn_overflow(f"dimension {dim} of x", pairs.count, pairs.index.shape[2])
        for i, count in enumerate(pairs.count.tolist()):
            pixels = _by_death(pairs, i, count, highest[i])
            pairing = torch.cat([torch.stack(torch.unravel_index(part, windows.shape[1:]), 1) for part in pixels], 1)
            informations[i].append(PersistenceInformation(pairing, flat[i][pixels.T], dim))
    return informations


def _by_death(pairs: Pairs[Tensor], window: int, count: int, highest: int) -> Tensor:
    """Return the pixels (2, n) of births and deaths of a window, the essential class last with its highest pixel."""
    index, death = pairs.index[window, :, :count], pairs.value[window, 1, :count]
    order = death.argsort(stable=True)
    order = order[(index[1, order] < 0).long().argsort(stable=True)]
    index = index[:, order]
    return index.where(index >= 0, highest)
