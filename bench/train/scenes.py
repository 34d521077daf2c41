"""Training data: images or volumes with the lines to delineate, and the noise that rendered ones are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, zoom


@dataclass(frozen=True)
class Scene:
    """An image or a volume, and the roads or neurites in it.

    Attributes
    ----------
    image : ndarray, shape (C, H, W) or (C, D, H, W), float32
        C channels with values in [0, 1].
    mask : ndarray, shape (H, W) or (D, H, W), bool
        True on the roads or neurites. In rendered scenes, the centre lines, one pixel wide.
    warmup : ndarray, shape (H, W) or (D, H, W), bool, optional
        The labels of the warm-up, where they differ from `mask`.
    """

    image: np.ndarray
    mask: np.ndarray
    warmup: np.ndarray | None = None


def texture(shape: Sequence[int], scale: float, rng: Generator) -> np.ndarray:
    """Return smooth noise with mean 0 and standard deviation 1 that varies over `scale` pixels."""
    step = max(1, int(scale / 2))  # the noise is drawn on a coarser grid, because a wide Gaussian filter is slow
    noise = rng.standard_normal([length // step + 2 for length in shape], np.float32)
    noise = gaussian_filter(noise, scale / step)
    if step > 1:
        noise = zoom(noise, step, order=1)
    noise = noise[tuple(slice(length) for length in shape)]
    return (noise - noise.mean()) / noise.std()
