"""Inputs to measure and test on: windows of real roads, smooth fields and noise, predicted and true maps, diagrams."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from torch import Tensor

import gpuph
from bench.train.roads import load_lines

TRUNCATION = 20.0  # of distance maps, pixels
SLOPE = 0.2  # of ramps, per pixel


def road_mask(pixel: float = 1.0) -> Tensor:
    """Draw the centre lines of Helsinki's roads, one pixel wide, at `pixel` metres a pixel: (1, 1, H, W), bool."""
    lines = [line / pixel for line in load_lines()]
    width, height = (int(extent) + 1 for extent in np.concatenate(lines).max(0))
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for line in lines:
        draw.line([(float(x), height - 1 - float(y)) for x, y in line], fill=1)
    return torch.from_numpy(np.array(canvas))[None, None]


def roads(n: int, size: int = 64, seed: int = 0) -> Tensor:
    """Cut random windows out of the truncated distance map, and add a ramp in a random direction to each.

    Returns a tensor of shape (n, size, size), float32. Each window holds at least 30 pixels of roads.
    """
    mask = road_mask()
    distances = gpuph.truncated_distance_map(mask, TRUNCATION)[0, 0]
    rng = np.random.default_rng(seed)
    corners: list[tuple[int, int]] = []
    while len(corners) < n:
        y, x = (int(rng.integers(extent - size)) for extent in distances.shape)
        if int(mask[0, 0, y : y + size, x : x + size].sum()) >= 30:
            corners.append((y, x))
    windows = torch.stack([distances[y : y + size, x : x + size] for y, x in corners])
    generator = torch.Generator().manual_seed(seed)
    return windows + gpuph.RandomLinear(SLOPE)(n, (size, size), windows, generator)


def smooth(n: int, size: int = 64, seed: int = 0) -> Tensor:
    """Return Gaussian random fields (n, size, size) that vary over 4 pixels."""
    noise = np.random.default_rng(seed).standard_normal((n, size, size), np.float32)
    return torch.from_numpy(gaussian_filter(noise, (0, 4, 4)))


def noise(n: int, size: int = 64, seed: int = 0) -> Tensor:
    """Return white noise (n, size, size), which has the most pairs per window."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, size, size), np.float32))


def predictions(n: int, size: int = 256) -> tuple[Tensor, Tensor]:
    """Return predicted and true distance maps, shape (n, 1, size, size) each.

    Predictions are the truth with noise, smoothed, and resemble a network's. Four true maps repeat; the noise does not.
    """
    distances = gpuph.truncated_distance_map(road_mask(), TRUNCATION)[0, 0]
    starts = [min(256 * i, distances.shape[1] - size) for i in range(4)]
    maps = [distances[300 : 300 + size, x : x + size] for x in starts]
    target = torch.stack([maps[i % 4] for i in range(n)])[:, None]
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(target + 3 * noise, 5, 1, 2, count_include_pad=False), target


def tiles(maps: Tensor, size: int) -> Tensor:
    """Cut maps (n, 1, H, W) into tiles (N, 1, size, size)."""
    return maps.unfold(2, size, size).unfold(3, size, size).reshape(-1, 1, size, size)


def bars(short: bool, pairs: int, points: int) -> tuple[gpuph.Diagram, gpuph.Diagram]:
    """Return two diagrams to match, each with `pairs` windows of `points` points.

    Short bars resemble a network's predictions: most are short compared with the distances between them, so that few
    points compete for a partner. Long bars are as long as the births are far apart, which is the hard case.
    """
    rng = torch.Generator().manual_seed(0)
    birth, length = torch.rand(2, 2, pairs, points, generator=rng)
    if short:
        birth, length = 20 * birth, -torch.log1p(-length)
    a, b = torch.stack((birth, birth + length), dim=-1)
    return gpuph.Diagram.from_list([*a]), gpuph.Diagram.from_list([*b])


KINDS = {"roads": roads, "smooth": smooth, "noise": noise}
