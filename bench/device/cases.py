"""Inputs that are the same bits on every machine, so that answers can be compared between machines.

All values are integers or multiples of a power of two and are computed without rounding, so that they depend neither on
the version of a library nor on the processor.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from scipy.ndimage import distance_transform_cdt
from torch import Tensor

import gpuph

Shape = tuple[int, ...]


def noise(shape: Shape, rng: Generator) -> np.ndarray:
    return rng.integers(-(2**20), 2**20, shape) / 1024


def smooth(shape: Shape, rng: Generator) -> np.ndarray:
    """Return noise after two running sums of width 3 along each axis."""
    x = rng.integers(0, 256, shape)
    for axis in range(len(shape)):
        for _ in range(2):
            x = x + np.roll(x, 1, axis) + np.roll(x, -1, axis)
    return x.astype(float)


def constant(shape: Shape, rng: Generator) -> np.ndarray:
    return np.zeros(shape)


def ties(shape: Shape, rng: Generator) -> np.ndarray:
    return rng.integers(0, 4, shape).astype(float)


def checkerboard(shape: Shape, rng: Generator) -> np.ndarray:
    return (np.indices(shape).sum(axis=0) % 2).astype(float)


def spiral(shape: Shape, rng: Generator) -> np.ndarray:
    """Return a corridor that winds inwards and rises slowly between high walls: one long path per image or slice."""
    return np.broadcast_to(_spiral(*shape[-2:]), shape).copy()


@functools.cache
def _spiral(height: int, width: int) -> np.ndarray:
    x = np.full((height, width), 4096.0)
    top, left, bottom, right = 0, 0, height - 1, width - 1
    path: list[tuple[int, int]] = []
    while top <= bottom and left <= right:
        path += [(top, j) for j in range(left, right + 1)]
        path += [(i, right) for i in range(top + 1, bottom + 1)]
        path += [(bottom, j) for j in range(right - 1, left + 1, -1)] if bottom > top else []
        path += [(i, left + 2) for i in range(bottom - 1, top + 1, -1)] if right > left + 2 else []
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    for step, (i, j) in enumerate(path):
        x[i, j] = step / 4
    return x


def infinities(shape: Shape, rng: Generator) -> np.ndarray:
    x = noise(shape, rng)
    x[rng.random(shape) < 0.1] = np.inf
    x[rng.random(shape) < 0.1] = -np.inf
    return x


def roads(shape: Shape, rng: Generator) -> np.ndarray:
    """Return taxicab distances, up to 20, from a few straight lines, plus a ramp."""
    mask = np.zeros(shape, bool)
    for _ in range(3):
        start, stop = (np.array([rng.integers(0, side) for side in shape]) for _ in range(2))
        steps = int(np.abs(stop - start).max()) + 1
        for k in range(steps + 1):
            mask[tuple(start + (stop - start) * k // steps)] = True
    distance = np.minimum(distance_transform_cdt(~mask, metric="taxicab"), 20)
    ramp = sum((axis + 1) * index for axis, index in enumerate(np.indices(shape)))
    return distance + ramp / 16


def with_a_nan(shape: Shape, rng: Generator) -> np.ndarray:
    x = noise(shape, rng)
    x.flat[rng.integers(x.size)] = np.nan
    return x


KINDS: dict[str, Callable[[Shape, Generator], np.ndarray]] = {
    kind.__name__.replace("_", " "): kind
    for kind in (noise, smooth, constant, ties, checkerboard, spiral, infinities, roads, with_a_nan)
}


def windows(kind: str, n: int, shape: Shape, dtype: torch.dtype) -> Tensor:
    """Return n windows (n, *shape) of a kind. Of the kind with a NaN, every second window has one."""
    rng = np.random.default_rng([len(KINDS), list(KINDS).index(kind), n, *shape])
    makers = [KINDS["noise"], KINDS[kind]] if kind == "with a nan" else [KINDS[kind]]
    images = [make(shape, rng) for make in itertools.islice(itertools.cycle(makers), n)]
    return torch.from_numpy(np.stack(images)).to(dtype)


class Windows(NamedTuple):
    """Windows whose diagrams are computed."""

    kind: str
    n: int
    shape: Shape
    dtype: torch.dtype
    construction: str

    @property
    def name(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"{self.kind}-N{self.n}-{size}-{str(self.dtype).removeprefix('torch.')}-{self.construction}"

    def make(self) -> Tensor:
        return windows(self.kind, self.n, self.shape, self.dtype)


class Points(NamedTuple):
    """Diagrams to match, with given numbers of points on both sides of each window."""

    sizes: tuple[tuple[int, int], ...]
    dtype: torch.dtype
    squared: bool
    solver: str
    kind: str = "many ties"

    @property
    def name(self) -> str:
        most = max(max(pair) for pair in self.sizes)
        unmatched = "squared" if self.squared else "distance"
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{self.kind}-N{len(self.sizes)}-K{most}-{dtype}-{unmatched}-{self.solver}"

    def make(self) -> tuple[gpuph.Diagram, gpuph.Diagram]:
        rng = np.random.default_rng([len(self.sizes), *itertools.chain(*self.sizes)])

        def side(numbers: Sequence[int]) -> gpuph.Diagram:
            points = [torch.from_numpy(POINTS[self.kind](n, rng)).to(self.dtype) for n in numbers]
            return gpuph.Diagram.from_list(points)

        a, b = zip(*self.sizes, strict=True)
        return side(a), side(b)


def _many_ties(n: int, rng: Generator) -> np.ndarray:
    birth = rng.integers(0, 256, n) / 16
    return np.stack((birth, birth + rng.integers(1, 256, n) / 16), axis=1)


def _all_equal(n: int, rng: Generator) -> np.ndarray:
    return np.tile([1.0, 3.0], (n, 1))


def _outliers(n: int, rng: Generator) -> np.ndarray:
    """Return points of which a few have very long bars, as nodata values cause them."""
    points = _many_ties(n, rng)
    points[::7, 1] = 2.0**40
    points[::11, 0] = -(2.0**40)
    return points


def _infinite(n: int, rng: Generator) -> np.ndarray:
    points = _many_ties(n, rng)
    points[::5, 1] = np.inf
    points[::6, 0] = -np.inf
    return points


POINTS: dict[str, Callable[[int, Generator], np.ndarray]] = {
    make.__name__.strip("_").replace("_", " "): make for make in (_many_ties, _all_equal, _outliers, _infinite)
}


class Maps(NamedTuple):
    """Predicted and true maps (B, 1, *shape) whose loss is computed. The prediction may be of any kind."""

    loss: str
    batch: int
    shape: Shape
    dtype: torch.dtype
    kind: str = "roads"
    window: int = 0  # pixels along each axis; 0 means half of the shortest side, plus one

    @property
    def name(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"{self.loss}-{self.kind}-B{self.batch}-{size}-{str(self.dtype).removeprefix('torch.')}"

    def make(self) -> tuple[Tensor, Tensor]:
        """Return predicted distance maps with errors, and true ones; or maps in [0, 1] for losses of probabilities."""
        truth, errors = (windows(kind, self.batch, self.shape, torch.float64)[:, None] for kind in ("roads", "ties"))
        if self.kind == "roads":
            pred = (truth + windows("roads", self.batch + 1, self.shape, torch.float64)[:-1, None]) / 2 + errors / 4
        else:
            pred = windows(self.kind, self.batch, self.shape, torch.float64)[:, None]
        if self.loss == "ConnectivityLoss":
            truth = truth.floor()  # 0 on some pixels, which divide the others
        if self.loss in ("TopoLoss", "LikelihoodPHLoss", "BettiPriorLoss", "MorseSkeletonLoss"):
            return (pred / 64).clamp(0, 1).to(self.dtype), (truth < 8).to(self.dtype)
        return pred.to(self.dtype), truth.to(self.dtype)

    def loss_fn(self) -> torch.nn.Module:
        """Return the loss, with a height function that is the same in every call."""
        size = self.window or min(self.shape) // 2 + 1
        if self.loss == "LocalizedPHLoss":
            slopes = (0.25, 0.0625, 0.125)[: len(self.shape)]
            return gpuph.LocalizedPHLoss(window=size, dims=(0, 1), height=gpuph.Linear(slopes))
        if self.loss == "BettiPriorLoss":
            return gpuph.BettiPriorLoss({0: 1, 1: 2})
        if self.loss == "ConnectivityLoss":
            return gpuph.ConnectivityLoss(window=size, dilation=1)
        if self.loss == "MorseSkeletonLoss":
            return gpuph.MorseSkeletonLoss(window=size, min_persistence=1 / 128)
        loss_class: type[torch.nn.Module] = getattr(gpuph, self.loss)
        return loss_class(window=size)

    def step(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the loss and its gradient in `pred`."""
        pred = pred.detach().requires_grad_()
        loss_fn = self.loss_fn()
        loss = loss_fn(pred) if self.loss == "BettiPriorLoss" else loss_fn(pred, target)
        return loss.detach(), torch.autograd.grad(loss, pred)[0]


FLOATS = (torch.float32, torch.float64)
SMALL_IMAGES = ((1, 1), (1, 13), (9, 1), (2, 2), (12, 11))
LARGE_IMAGES = ((1, 300), (31, 33), (64, 64), (127, 65))
SMALL_VOLUMES = ((1, 1, 1), (1, 5, 4), (5, 6, 4))
LARGE_VOLUMES = ((1, 1, 90), (16, 17, 15), (32, 32, 32))
MANY = 1024  # windows
LOSSES = (
    "LocalizedPHLoss",
    "DistancePHLoss",
    "LikelihoodPHLoss",
    "TopoLoss",
    "BettiPriorLoss",
    "ConnectivityLoss",
    "MorseSkeletonLoss",
)


def diagrams(rank: int, small: bool) -> list[Windows]:
    """Return the cases of images or volumes: all, or the small ones, which are quick without a GPU."""

    def each(shapes: tuple[Shape, ...], n: int) -> list[Windows]:
        every = itertools.product(KINDS, shapes, FLOATS, "TV")
        return [Windows(kind, n, shape, dtype, construction) for kind, shape, dtype, construction in every]

    cases = each((SMALL_IMAGES, SMALL_VOLUMES)[rank - 2], 2)
    if small:
        return cases
    cases += each((LARGE_IMAGES, LARGE_VOLUMES)[rank - 2], 5 if rank == 2 else 3)
    if rank == 2:
        cases += [Windows(kind, MANY, (64, 64), torch.float32, "T") for kind in ("noise", "roads")]
    many = (33, 34) if rank == 2 else (8, 7, 9)
    return cases + [Windows(kind, MANY, many, *way) for kind in KINDS for way in zip(FLOATS, "TV", strict=True)]


def matchings(small: bool) -> list[Points]:
    """Return the cases of matching: all, or the small ones."""
    solvers, squares = ("auto", "augment", "auction"), (True, False)
    few = ((0, 3), (2, 0), (1, 1), (7, 5))
    cases = [Points(few, *way) for way in itertools.product(FLOATS, squares, solvers)]
    cases += [Points(few, torch.float32, True, "auto", kind) for kind in POINTS if kind != "many ties"]
    if small:
        return cases
    some = ((0, 30), (20, 0), (1, 17), (31, 33), (9, 140))
    cases += [Points(some, *way) for way in itertools.product(FLOATS, squares, solvers, POINTS)]
    many = (((20, 18),) * MANY, ((300, 300),) * 64)
    cases += [Points(*way) for way in itertools.product(many, FLOATS, squares, solvers)]
    # A single pair runs on one multiprocessor, and its time grows faster than the square of the number of points.
    cases += [Points(((600, 550),), dtype, False, solver) for dtype in FLOATS for solver in solvers[1:]]
    return cases + [Points(((700, 650), (1200, 1100)), dtype, True, "auto") for dtype in FLOATS]


def losses(small: bool) -> list[Maps]:
    """Return the cases of losses and their gradients: all, or the small ones."""
    shapes: tuple[Shape, ...] = ((18, 15), (7, 8, 6))
    cases = [Maps(name, 2, shape, dtype) for name, shape, dtype in itertools.product(LOSSES, shapes, FLOATS)]
    kinds = [kind for kind in KINDS if kind != "roads"]
    adversarial = [Maps(LOSSES[0], 2, *way) for way in itertools.product(shapes, FLOATS, kinds)]
    if small:
        return cases + adversarial[::3]  # contains every kind
    larger: tuple[Shape, ...] = ((96, 80), (200, 131), (40, 36, 33))
    cases += [Maps(name, 2, shape, dtype) for name, shape, dtype in itertools.product(LOSSES, larger, FLOATS)]
    cases += [Maps("BettiPriorLoss", 2, (1, 150), dtype) for dtype in FLOATS]  # windows have 2 pixels along each axis
    cases += [Maps("LocalizedPHLoss", 2, (2, 150), dtype) for dtype in FLOATS]
    return cases + adversarial + [Maps("LocalizedPHLoss", 4, (128, 128), dtype, window=8) for dtype in FLOATS]


def usual(small: bool) -> list[Maps]:
    """Return maps of images and of volumes as in training, for calling the loss in several ways."""
    shapes = ((18, 15), (7, 8, 6)) if small else ((192, 160), (40, 36, 33))
    return [Maps("LocalizedPHLoss", 4, shape, torch.float32) for shape in shapes]
