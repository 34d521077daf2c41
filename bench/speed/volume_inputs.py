"""Volumes to measure on: windows of real neurites with and without noise, smooth fields, and noise, float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from bench.train import neurons


def noisy_neurites(n: int, size: int) -> Tensor:
    """Return distance maps of neurites plus a ramp, with noise like an untrained network's."""
    windows = neurons.windows(n, size)
    return windows + 0.3 * torch.randn(windows.shape, generator=torch.Generator().manual_seed(0))


def smooth(n: int, size: int) -> Tensor:
    """Return Gaussian random fields that vary over 4 voxels."""
    noise = np.random.default_rng(0).standard_normal((n, size, size, size), np.float32)
    return torch.from_numpy(gaussian_filter(noise, (0, 4, 4, 4)))


def noise(n: int, size: int) -> Tensor:
    """Return white noise, which has the most pairs per window."""
    return torch.from_numpy(np.random.default_rng(0).standard_normal((n, size, size, size), np.float32))


KINDS: dict[str, Callable[[int, int], Tensor]] = {
    "neurites": neurons.windows,
    "neurites + noise": noisy_neurites,
    "smooth": smooth,
    "noise": noise,
}
