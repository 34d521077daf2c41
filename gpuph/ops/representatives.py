"""`representatives`: the pixels of the component, the cavity or the boundary that each pair stands for."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuph.kernels import PixelSets

from .backend import array, tensor, warn_of_detour
from .cpu_kernels import cpu
from .define import define

# As an operator returns them; see `pairs.Flat`.
_Flat = tuple[Tensor, Tensor, Tensor]


def _fake(x: Tensor, index: Tensor, dim: int, top: bool, superlevel: bool, filled: bool) -> _Flat:
    pixels = index.new_empty((torch.library.get_ctx().new_dynamic_size(),))
    shape = index.shape[0], index.shape[2]
    return pixels, index.new_empty(shape), index.new_empty(shape)


def _run(x: Tensor, index: Tensor, dim: int, top: bool, superlevel: bool, filled: bool) -> _Flat:
    warn_of_detour(x, "representatives")
    found, wrong = cpu.representatives(array(x), array(index), cpu.Wanted(dim, top, superlevel, filled))
    if (wrong >= 0).any():
        window = int((wrong >= 0).argmax())
        pair = index[window, :, int(wrong[window])].tolist()
        raise ValueError(
            f"diagrams must have pairs of x, computed with the same construction; the pixels {pair} are none in"
            f" dimension {dim} of window {window}"
        )
    pixels, start, stop = (tensor(part, x.device) for part in found)
    return pixels, start, stop


define(
    "representatives(Tensor x, Tensor index, int dim, bool top, bool superlevel, bool filled)"
    " -> (Tensor, Tensor, Tensor)",
    _fake,
    _run,
)


def representatives(
    x: Tensor, index: Tensor, dim: int, *, top: bool, superlevel: bool, filled: bool
) -> PixelSets[Tensor]:
    """Find the pixels of persistence pairs, which are computed on the CPU, wherever the windows are.

    Parameters
    ----------
    x : Tensor, shape (N, *window), float32 or float64
        Windows.
    index : Tensor, shape (N, 2, K), int64
        Pixels of births and deaths, -1 for the death of an essential class and for padding, which may be anywhere.
    dim : int
        Homology dimension of the pairs: 0, or the last one of the windows.
    top : bool
        True for the construction T, False for V.
    superlevel : bool
        Whether the pairs are those of superlevel sets.
    filled : bool
        Whether pairs of the last dimension, if it is not 0, get their cavity, and not its boundary.

    Returns
    -------
    PixelSets
        The sets of pixels; those of padding are empty.

    Raises
    ------
    ValueError
        If pixels are no pair of their window. Not every such mistake is found.
    """
    return PixelSets(*torch.ops.gpuph.representatives(x, index, dim, top, superlevel, filled))
