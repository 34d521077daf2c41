"""The inputs that the engine is tested on: all the odd kinds, by name."""

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
    """An image of a kind, repeatable."""
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
