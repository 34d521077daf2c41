"""Cutting images into windows, and the frame that closes loops at a window's border."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Tiling


def tile(image: Sequence[int], window: Sequence[int], stride: Sequence[int], *, border: bool = False) -> Tiling:
    """Return how an image of that size is cut into windows; an axis shorter than a window is one window."""
    sizes = [min(size, length) for size, length in zip(window, image, strict=True)]
    return Tiling(tuple(image), tuple(sizes), tuple(stride), border)


def cut_windows(x: Tensor, window: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Cut images into windows.

    Parameters
    ----------
    x : Tensor, shape (B, *image)
        Images or volumes.
    window, stride : sequence of int, one per axis
        Size of a window, and distance between neighbours, in pixels. If the last window would leave the image, it is
        shifted inwards to end with it; an axis shorter than the window gives one window of the size of the axis.

    Returns
    -------
    Tensor, shape (B * windows, *window)
        The windows of the first image, in the order of their first corners, then those of the second, and so on.
    """
    for axis, (size, step) in enumerate(zip(window, stride, strict=True), start=1):
        length = x.shape[axis]
        size = min(size, length)
        regular = x.unfold(axis, size, step)
        if (length - size) % step:
            last = x.narrow(axis, length - size, size).unsqueeze(axis).movedim(axis + 1, -1)
            regular = torch.cat((regular, last), dim=axis)
        x = regular
    return x.flatten(0, len(window))


def frame(x: Tensor, value: Tensor) -> Tensor:
    """Put a frame one pixel wide around windows, so that a curve that leaves a window closes a loop.

    Parameters
    ----------
    x : Tensor, shape (N, *window)
        Windows.
    value : Tensor, shape (N,)
        Value of each window's frame.

    Returns
    -------
    Tensor, shape (N, *(window + 2))
        The windows inside their frames; no pixel is overwritten.
    """
    framed = x.new_empty((len(x), *(size + 2 for size in x.shape[1:])))
    inside = (slice(None), *[slice(1, -1)] * (x.dim() - 1))
    framed[inside] = x
    for axis in range(1, x.dim()):
        for end in (0, -1):
            face = framed.select(axis, end)
            face.copy_(value.view(-1, *[1] * (face.dim() - 1)))
    return framed


def origin(
    image: Sequence[int], window: Sequence[int], stride: Sequence[int], device: torch.device, *, border: bool
) -> tuple[Tensor, Tensor]:
    """Locate the pixels of windows in their image: at `corner[window] + offset[pixel]`, or outside if that is negative.

    Parameters
    ----------
    image, window, stride : sequence of int, one per axis
        As for `cut_windows`.
    device : torch.device
        Device of the result.
    border : bool
        Whether the windows have a frame, whose pixels are outside the image.

    Returns
    -------
    corner : Tensor, shape (windows,), int64
        Flat index in the image of each window's first pixel.
    offset : Tensor, shape (pixels of a window + 1,), int64
        What to add to it; `offset[-1]` stands for no pixel.
    """
    corner = offset = torch.zeros((), dtype=torch.int64, device=device)
    tiling = tile(image, window, stride)
    for axis, windows in enumerate(tiling.counts()):
        length, size = tiling.image[axis], tiling.window[axis]
        starts = (torch.arange(windows, device=device) * tiling.stride[axis]).clamp(max=length - size)
        corner = corner.unsqueeze(-1) * length + starts
        offset = offset.unsqueeze(-1) * length + torch.arange(size, device=device)
    none = torch.full((1,), -math.prod(image), device=device)
    if border:
        offset = frame(offset[None], none)
    return corner.flatten(), torch.cat((offset.flatten(), none))
