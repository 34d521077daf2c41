"""Inputs of every awkward kind, by name."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

KINDS = (
    "noise",
    "smooth",
    "constant",
    "checkerboard",
    "integers",
    "zeros of both signs",
    "infinities",
    "subnormals",
    "ramp",
)
SIZES = ((1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 2), (3, 3), (4, 7), (12, 5), (16, 16), (31, 64))


def image(kind: str, shape: tuple[int, ...], seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    """Return an image or a volume of a kind; the same seed gives the same values."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(shape)
    if kind == "smooth":
        noise = ndimage.gaussian_filter(noise, 2)
    elif kind == "constant":
        noise = np.full(shape, 3.5)
    elif kind == "checkerboard":
        noise = np.indices(shape).sum(axis=0) % 2 * 1.0
    elif kind == "integers":
        noise = rng.integers(-2, 3, shape) * 1.0
    elif kind == "zeros of both signs":
        noise = rng.choice([-1.0, -0.0, 0.0, 1.0], shape)
    elif kind == "infinities":
        noise = np.where(rng.random(shape) < 0.4, rng.choice([-np.inf, np.inf], shape), noise)
    elif kind == "subnormals":
        noise = rng.integers(-3, 4, shape) * np.finfo(dtype).smallest_subnormal
    elif kind == "ramp":
        noise = np.indices(shape).sum(axis=0) * 0.1
    return noise.astype(dtype)


def masks(shape: tuple[int, ...], density: float, seed: int = 0) -> np.ndarray:
    """Return masks (B, *image) of a density. The first one is empty, unless it is the only one."""
    rng = np.random.default_rng(seed)
    mask: np.ndarray = rng.random(shape) < density
    mask[: len(mask) > 1] = False
    return mask


# Shapes (B, *image) of masks, densities, truncations and spacings, for distances.
DISTANCES: tuple[tuple[tuple[int, ...], float, float, tuple[float, ...]], ...] = (
    ((2, 1, 1), 0.5, 3.0, (1.0, 1.0)),
    ((3, 1, 9), 0.2, 5.0, (1.0, 1.0)),
    ((2, 9, 1), 0.2, 5.0, (2.5, 0.3)),
    ((2, 33, 40), 0.02, 20.0, (1.0, 1.0)),
    ((2, 17, 64), 0.002, 1e9, (1.0, 1.0)),  # farther than the image
    ((1, 3, 1200), 0.002, 700.0, (1.0, 1.0)),  # rows of several tiles
    ((2, 3, 1200), 0.002, 6.5, (1.0, 0.01)),
    ((1, 150, 3), 0.01, 400.0, (1.0, 1.0)),
    ((2, 21, 16), 0.02, 1e30, (1e-3, 0.4)),
    ((3, 1, 1, 5), 0.2, 9.0, (4.0, 1.0, 1.0)),
    ((2, 10, 20, 30), 0.003, 9.0, (4.0, 1.0, 1.0)),
    ((2, 12, 6, 7), 0.01, 3.3, (0.3, 0.7, 1.9)),
    ((1, 5, 9, 33), 0.002, 1e6, (1.0, 1.0, 1.0)),
    ((0, 4, 5), 0.5, 3.0, (1.0, 1.0)),
)

# Windows of losses on connectivity.
CONNECTED = ((1, 1), (1, 6), (5, 1), (2, 2), (13, 9), (31, 18), (1, 1, 1), (3, 3, 4), (1, 5, 6), (7, 8, 9))


def costs(kind: str, window: tuple[int, ...], seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    """Return the costs (2, axes, *window) of the edges of two windows: ties of zeros of both signs, NaNs, and so on."""
    rng = np.random.default_rng([seed, *window])
    values = rng.standard_normal((2, len(window), *window)).astype(dtype)
    if kind in ("ties", "special"):
        values = np.round(2 * values) * rng.choice(np.array([-1, 1], dtype), values.shape)
    if kind == "plateau":
        values[:] = 3
    if kind == "special":
        values.flat[::3], values.flat[1::5], values.flat[2::7] = np.inf, -np.inf, np.nan
        values.flat[3::11] = -values.flat[2]  # a NaN of the other sign
    return values


COSTS = ("noise", "ties", "plateau", "special")

VOLUMES = (
    (1, 1, 1),
    (1, 1, 7),
    (1, 6, 1),
    (5, 1, 1),
    (1, 4, 5),
    (3, 1, 4),
    (2, 3, 1),
    (2, 2, 2),
    (3, 4, 5),
    (9, 14, 11),
)


def thickened(points: np.ndarray, size: int, radius: float) -> np.ndarray:
    """Return a mask of the voxels of a cube that are within a radius of points (n, 3)."""
    far = np.ones((size,) * 3, bool)
    far[tuple(np.round(points).astype(int).T)] = False
    near: np.ndarray = ndimage.distance_transform_edt(far) <= radius
    return near


def ring(centre: tuple[float, float, float], radius: float, axis: int) -> np.ndarray:
    """Return points (400, 3) of a circle around an axis through its centre."""
    angle = np.linspace(0, 2 * np.pi, 400)
    flat = [radius * np.cos(angle), radius * np.sin(angle)]
    flat.insert(axis, 0 * angle)
    return np.stack(flat, axis=1) + centre


def shapes() -> dict[str, tuple[np.ndarray, tuple[int, int, int]]]:
    """Return solids of 40^3 voxels by name, each with its Betti numbers."""
    grid = np.indices((40, 40, 40)) - 19.5
    distance = np.sqrt((grid**2).sum(axis=0))
    tube = np.hypot(np.hypot(grid[1], grid[2]) - 11, grid[0])
    angle = np.linspace(0, 2 * np.pi, 1500)
    trefoil = 19.5 + 4.6 * np.stack(
        (np.sin(angle) + 2 * np.sin(2 * angle), np.cos(angle) - 2 * np.cos(2 * angle), -2 * np.sin(3 * angle)), axis=1
    )
    linked = np.concatenate((ring((19.5, 14.0, 19.5), 9, 0), ring((19.5, 23.0, 19.5), 9, 2)))
    return {
        "ball": (distance < 15, (1, 0, 0)),
        "solid torus": (tube < 4, (1, 1, 0)),
        "torus": (abs(tube - 4) < 1.2, (1, 2, 1)),
        "nested shells": ((abs(distance - 7) < 1.2) | (abs(distance - 14) < 1.2), (2, 0, 2)),
        "linked rings": (thickened(linked, 40, 1.5), (2, 2, 0)),
        "trefoil knot": (thickened(trefoil, 40, 1.5), (1, 1, 0)),
    }
