"""Volumes of real neurons: three of the fly's hemibrain, as skeletons, drawn into voxels.

The geometry is real: thin neurites that branch, run side by side and cross at a distance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

import gpuph

SKELETONS = Path(__file__).parent / "data" / "hemibrain_neurons.npz"
UNIT = 97.0  # of the skeletons', 8 nm each, a voxel: all three fill 188 x 267 x 196 voxels
TRUNCATION, SLOPE = 20.0, 0.2


def load_branches(path: Path = SKELETONS) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read the skeletons: for each neuron, both ends of its pieces, (n, 3) each, x, y and z in units of 8 nm."""
    with np.load(path) as file:
        names = sorted(name.removesuffix("_parent") for name in file if name.endswith("_parent"))
        branches = []
        for name in names:
            points, parent = file[f"{name}_xyz"], file[f"{name}_parent"]
            branches.append((points[parent >= 0], points[parent[parent >= 0]]))
        return branches


def neurites(unit: float = UNIT) -> Tensor:
    """Centre lines of all three neurons, one voxel thick, at so many units of 8 nm a voxel: (D, H, W), bool."""
    points = []
    for first, second in load_branches():
        steps = 1 + int(np.ceil(2 * np.abs(second - first).max() / unit))  # half a voxel or less
        share = np.linspace(0, 1, steps)[:, None, None]
        points.append((first + share * (second - first)).reshape(-1, 3) / unit)
    voxels = np.round(np.concatenate(points)).astype(np.int64)[:, ::-1]
    voxels -= voxels.min(0)
    mask = torch.zeros(*(int(size) + 1 for size in voxels.max(0)), dtype=torch.bool)
    mask[tuple(torch.from_numpy(voxels.copy()).T)] = True
    return mask


def windows(n: int, size: int, seed: int = 0, unit: float = UNIT) -> Tensor:
    """Cubes with `size` voxels of neurites or more of the truncated distance map, plus a ramp in a random direction.

    Returns (n, size, size, size), float32.
    """
    mask = neurites(unit).numpy()
    distances = torch.from_numpy(np.minimum(distance_transform_edt(~mask), TRUNCATION).astype(np.float32))
    rng = np.random.default_rng(seed)
    cubes: list[Tensor] = []
    while len(cubes) < n:
        corner = [int(rng.integers(extent - size + 1)) for extent in mask.shape]
        cube = tuple(slice(start, start + size) for start in corner)
        if mask[cube].sum() >= size:
            cubes.append(distances[cube])
    generator = torch.Generator().manual_seed(seed)
    stacked = torch.stack(cubes)
    return stacked + gpuph.RandomLinear(SLOPE)(n, (size,) * 3, stacked, generator)
