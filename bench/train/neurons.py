"""Render volumes of real neurons: the skeletons of three neurons of the fruit fly's hemibrain.

The geometry is real: thin neurites that branch, run side by side and pass each other closely. The appearance is
synthetic and depends on a seed. It imitates light microscopy of one stained neuron, with what makes networks err in
topology: the stain is uneven and interrupted (gaps), glow connects neurites that pass close by (false bridges), and the
image is noisy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree
from torch import Tensor

import gpuph
from bench.train.scenes import Scene, texture

SKELETONS = Path(__file__).parents[1] / "data" / "hemibrain_neurons.npz"
UNIT = 97.0  # size of a voxel in the skeletons' units of 8 nm: all three neurons fill 188 x 267 x 196 voxels
TRUNCATION, SLOPE = 20.0, 0.2

# Settings of the rendered scenes, in voxels unless noted.
FINE = 20.0  # size of a voxel, in the skeletons' units
SIDE = 192  # of a cube around the centre of a neuron, which holds most of its branches
BLUR = 1.0
GAP_EVERY, GAPS = 40, (2.0, 5.0)  # length of neurite per gap, and range of a gap's radius
BRIDGE_EVERY, BRIDGES = 60, (6.0, 14.0)  # length of neurite per bridge, and range of a bridge's length
DETOUR = 40.0  # smallest distance along the neurites between the ends of a bridge


@dataclass(frozen=True)
class Skeleton:
    """The skeleton of a neuron: a tree of points.

    Attributes
    ----------
    points : ndarray, shape (n, 3), float32
        Coordinates x, y and z, in units of 8 nm.
    radius : ndarray, shape (n,), float32
        Radius of the neurite at each point, in units of 8 nm.
    parent : ndarray, shape (n,), int32
        Index of the point that each point is connected to; -1 at a root.
    """

    points: np.ndarray
    radius: np.ndarray
    parent: np.ndarray

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the points at the two ends of each edge, shape (edges,) each."""
        return np.flatnonzero(self.parent >= 0), self.parent[self.parent >= 0]


def load_skeletons(path: Path = SKELETONS) -> list[Skeleton]:
    """Read the skeletons, sorted by name."""
    with np.load(path) as file:
        names = sorted(name.removesuffix("_parent") for name in file if name.endswith("_parent"))
        return [Skeleton(*(file[f"{name}_{part}"] for part in ("xyz", "radius", "parent"))) for name in names]


def _between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sample n line segments between points (n, 3) at steps of half a voxel or less: shape (samples, n, 3)."""
    samples = 1 + int(np.ceil(2 * np.abs(second - first).max(initial=0)))
    return first + np.linspace(0, 1, samples)[:, None, None] * (second - first)


def neurites(unit: float = UNIT) -> Tensor:
    """Draw the centre lines of all three neurons, one voxel wide, in voxels of `unit` x 8 nm: (D, H, W), bool."""
    points = []
    for neuron in load_skeletons():
        first, second = (neuron.points[end] / unit for end in neuron.edges())
        points.append(_between(first, second).reshape(-1, 3))
    voxels = np.round(np.concatenate(points)).astype(np.int64)[:, ::-1]
    voxels -= voxels.min(0)
    mask = torch.zeros(*(int(size) + 1 for size in voxels.max(0)), dtype=torch.bool)
    mask[tuple(torch.from_numpy(voxels.copy()).T)] = True
    return mask


def windows(n: int, size: int, seed: int = 0, unit: float = UNIT) -> Tensor:
    """Cut random cubes out of the truncated distance map, and add a ramp in a random direction to each.

    Returns a tensor of shape (n, size, size, size), float32. Each cube holds at least `size` voxels of neurites.
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


def hemibrain(seed: int = 0, rows: int | None = None) -> tuple[Scene, Scene, Scene]:
    """Render the three neurons, each in a volume of its own: two to train on, and the third to hold out.

    Parameters
    ----------
    seed : int
        Seed of the whole appearance.
    rows : int, optional
        Render only this many rows around the centre. By default all 192 rows are rendered.
    """
    shape = (SIDE, rows or SIDE, SIDE)
    first, second, third = (
        render(neuron, shape, np.random.default_rng((seed, i))) for i, neuron in enumerate(load_skeletons())
    )
    return first, second, third


def render(neuron: Skeleton, shape: tuple[int, int, int], rng: Generator) -> Scene:
    """Render a volume of `shape` voxels around the centre of a neuron."""
    points = neuron.points[:, ::-1] / FINE
    points = points - np.median(points, axis=0) + np.array(shape) / 2
    first, second = neuron.edges()
    lines = _between(points[first], points[second])
    mask = _draw(lines, 1.0, shape) > 0
    visible = np.flatnonzero(((points >= 0) & (points < shape)).all(1))

    stain = np.sqrt(neuron.radius / np.median(neuron.radius)).clip(0.7, 1.6)  # thick neurites are bright
    gaps = rng.choice(visible, mask.sum() // GAP_EVERY)
    for near in cKDTree(points).query_ball_point(points[gaps], rng.uniform(*GAPS, len(gaps))):
        stain[near] *= rng.uniform(0, 0.25)
    light = _draw(lines, stain[first], shape)
    start, stop = _bridges(neuron, points, visible, mask.sum() // BRIDGE_EVERY, rng)
    light = np.maximum(light, _draw(_between(points[start], points[stop]), rng.uniform(0.3, 0.9, len(start)), shape))
    light = 2 * np.pi * BLUR**2 * gaussian_filter(light, BLUR)  # a line keeps its brightness
    light *= 0.35 * np.exp(0.4 * texture(shape, 16, rng))

    image = 0.15 + 0.03 * texture(shape, 10, rng) + light
    image = image + (0.05 + 0.1 * light) * rng.standard_normal(shape, np.float32)
    return Scene(image.clip(0, 1).astype(np.float32)[None], mask)


def _draw(lines: np.ndarray, value: np.ndarray | float, shape: tuple[int, int, int]) -> np.ndarray:
    """Draw n lines, given by their samples (samples, n, 3), one voxel wide. Each has a value; the largest one wins."""
    voxels = np.round(lines).astype(np.int64)
    inside = ((voxels >= 0) & (voxels < shape)).all(2)
    volume = np.zeros(shape, np.float32)
    np.maximum.at(volume, tuple(voxels[inside].T), np.broadcast_to(value, inside.shape)[inside])
    return volume


def _bridges(
    neuron: Skeleton, points: np.ndarray, visible: np.ndarray, count: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of up to `count` bridges: visible points close in space and far apart along the neurites."""
    shortest, longest = BRIDGES
    pairs = visible[cKDTree(points[visible]).query_pairs(longest, output_type="ndarray")]
    pairs = pairs[np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) >= shortest]
    pairs = rng.permutation(pairs)[: 10 * count]
    first, second = neuron.edges()
    length = np.linalg.norm(points[first] - points[second], axis=1)
    tree = coo_array((length, (first, second)), (len(points), len(points))).tocsr()
    starts, row = np.unique(pairs[:, 0], return_inverse=True)
    far = np.isinf(dijkstra(tree, directed=False, indices=starts, limit=DETOUR)[row, pairs[:, 1]])
    start, stop = pairs[far][:count].T
    return start, stop
