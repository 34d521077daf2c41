"""Morse skeletons follow the steepest path, and do not depend on the orientation of the axes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from gpuph import MorseSkeletonLoss, ops
from support import inputs, morse_reference

SHAPES = ((1, 1), (1, 9), (7, 1), (2, 2), (3, 5), (8, 11), (1, 1, 6), (1, 4, 5), (2, 2, 2), (3, 4, 5))


def symmetries(rank: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield permutations of the axes, and the axes that are then flipped: 8 in the plane, 48 in space."""
    for order in itertools.permutations(range(rank)):
        for flips in itertools.product((False, True), repeat=rank):
            yield order, tuple(axis for axis, flipped in enumerate(flips) if flipped)


def moved(x: Tensor, order: tuple[int, ...], flips: tuple[int, ...]) -> Tensor:
    """Return x with its last axes moved by a symmetry."""
    batch = x.dim() - len(order)
    return x.permute(*range(batch), *(batch + axis for axis in order)).flip([batch + axis for axis in flips])


def distinct(kind: str, shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a field without ties: ranks of noise, of a smooth field, or of plateaus of nearly equal values."""
    rng = np.random.default_rng(seed)
    noise = rng.random(shape)
    if kind == "smooth":
        noise = ndimage.gaussian_filter(noise, 1.5)
    elif kind == "plateaus":
        noise = rng.integers(0, 4, shape) + 0.01 * noise
    return torch.from_numpy(np.argsort(np.argsort(noise.ravel())).reshape(shape) / noise.size).to(dtype)


def manifolds_of(rank: int) -> tuple[tuple[int, ...], ...]:
    return ((1,),) if rank == 2 else ((1,), (2,), (1, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(12, 17), (31, 8), (1, 13), (5, 6, 7), (1, 6, 8)])
@pytest.mark.parametrize("kind", ["noise", "smooth", "plateaus"])
def test_skeleton_is_equivariant_under_grid_symmetries(kind: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.stack([distinct(kind, shape, seed, dtype) for seed in range(4)])
    for manifolds, threshold in itertools.product(manifolds_of(len(shape)), (0.0, 0.05, 0.3)):
        mask = ops.skeleton(x, threshold, manifolds)
        for symmetry in symmetries(len(shape)):
            found = ops.skeleton(moved(x, *symmetry).contiguous(), threshold, manifolds)
            assert torch.equal(found, moved(mask, *symmetry))


def test_path_from_a_saddle_takes_the_lower_neighbour() -> None:
    x = torch.tensor([[5.0, 3.0, 0.0], [1.0, 4.0, 2.0]])
    expected = torch.tensor([[0, 0, 1], [1, 1, 1]], dtype=torch.bool)
    for dtype, symmetry in itertools.product((torch.float32, torch.float64), symmetries(2)):
        field = moved(x.to(dtype), *symmetry).contiguous()
        assert torch.equal(ops.skeleton(field[None], 0.0, (1,))[0], moved(expected, *symmetry))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["noise", "smooth", "plateaus", "integers", "constant", "infinities", "ramp"])
@pytest.mark.parametrize("shape", SHAPES)
def test_skeleton_equals_the_plain_reference(shape: tuple[int, ...], kind: str, dtype: type) -> None:
    """Some kinds have ties; of two equal values, the one with the smaller index is lower."""
    field = (
        distinct(kind, shape, 1).numpy().astype(dtype) if kind == "plateaus" else inputs.image(kind, shape, 1, dtype)
    )
    gradient = morse_reference.Gradient(field)
    for manifolds, threshold in itertools.product(manifolds_of(len(shape)), (0.0, 0.1, 0.5)):
        expected = morse_reference.skeleton_of(gradient, dtype(threshold), manifolds)
        assert np.array_equal(ops.skeleton(torch.from_numpy(field)[None], threshold, manifolds)[0].numpy(), expected)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("kind", ["noise", "smooth", "integers"])
def test_image_and_volume_of_one_slice_have_the_same_curves(kind: str, threshold: float) -> None:
    images = torch.stack([torch.from_numpy(inputs.image(kind, (20, 23), seed)) for seed in range(3)])
    images = images / images.std()
    expected = ops.skeleton(images, threshold, (1,))
    assert expected.any()
    assert torch.equal(ops.skeleton(images[:, None], threshold, (1,))[:, 0], expected)


def test_path_from_a_single_saddle_is_the_steepest_descent() -> None:
    """On a smooth surface with two minima, the saddle and the pixels on the steepest paths down are marked."""
    y, x = np.mgrid[:25, :40].astype(float)
    field = -np.exp(-((y - 6) ** 2 + (x - 8) ** 2) / 60) - np.exp(-((y - 17) ** 2 + (x - 30) ** 2) / 90)
    field += 1e-3 * np.hypot(y - 11.3, x - 19.7)
    saddle = morse_reference.Gradient(field)
    (edge,) = [cell for cell in saddle.critical if len(cell) == 2]
    expected = np.zeros(field.shape, bool)
    for at in (np.unravel_index(vertex, field.shape) for vertex in edge):
        place = at
        while True:
            expected[place] = True
            around = [(place[0] + dy, place[1] + dx) for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0))]
            inside = [q for q in around if 0 <= q[0] < 25 and 0 <= q[1] < 40]
            lowest = min(inside, key=lambda q: field[q])
            if field[lowest] > field[place]:
                break
            place = lowest
    assert expected.sum() > 20
    assert np.array_equal(ops.skeleton(torch.from_numpy(field)[None], 0.0, (1,))[0].numpy(), expected)


@pytest.mark.parametrize("superlevel", [True, False])
@pytest.mark.parametrize("min_persistence", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(
    ("shape", "window", "manifolds"),
    [((33, 33), 64, (1,)), ((30, 40), 10, (1,)), ((1, 21), 21, (1,)), ((8, 8, 8), 4, (1, 2)), ((6, 7, 9), 9, (2,))],
)
def test_loss_is_invariant_under_grid_symmetries(
    shape: tuple[int, ...], window: int, manifolds: tuple[int, ...], min_persistence: float, superlevel: bool
) -> None:
    """Several windows divide an image evenly, so that symmetries map windows to windows."""
    pred = 0.01 + 0.98 * distinct("smooth", shape, 3)[None, None]
    target = (distinct("smooth", shape, 4)[None, None] > 0.6).double()
    loss_fn = MorseSkeletonLoss(
        min_persistence=min_persistence, manifolds=manifolds, superlevel=superlevel, window=window, reduction="sum"
    )
    expected = loss_fn(pred, target)
    for symmetry in symmetries(len(shape)):
        torch.testing.assert_close(
            loss_fn(moved(pred, *symmetry), moved(target, *symmetry)), expected, rtol=1e-12, atol=0.0
        )
