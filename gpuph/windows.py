"""Images to windows, and the frame that closes loops at a window's border."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cut_windows(x: Tensor, window: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Cut images into windows.

    Parameters
    ----------
    x : Tensor, shape (B, *image)
        Images or volumes.
    window, stride : sequence of int, one an axis
        Size of a window, and distance between neighbours, in pixels. Where the image does not end with a window, a last
        one is shifted inwards to end with it; an axis shorter than the window is one window of its own size.

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
    """Lay a frame one pixel wide around windows, so that a curve that leaves a window closes a loop along its border.

    Parameters
    ----------
    x : Tensor, shape (N, *window)
        Windows.
    value : Tensor, shape (N,)
        Value of each window's frame.

    Returns
    -------
    Tensor, shape (N, *(window + 2))
        The windows, nothing of them overwritten, inside their frames.
    """
    axes = x.dim() - 1
    around = [1, 1] * axes
    inside = torch.nn.functional.pad(torch.ones_like(x[:1], dtype=torch.bool), around)
    return torch.where(inside, torch.nn.functional.pad(x, around), value.view(-1, *[1] * axes))
