"""`gpuph.interop.cripser` against CubicalRipser itself, which is `cripser` for V and `tcripser` for T."""

from __future__ import annotations

import cripser
import numpy as np
import pytest
import tcripser
import torch

from gpuph.interop.cripser import NEVER, compute_ph, computePH, computePH_T
from support import inputs

BOTH = {"V": (computePH, cripser.computePH), "T": (computePH_T, tcripser.computePH)}
SHAPES = ((7, 12), (12, 5), (2, 9), (16, 9), (3, 4, 5), (9, 14, 11), (1, 4, 5), (4, 5, 1), (2, 3, 2), (1,), (2,), (37,))


def without_ties(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape).astype(np.float64)


def rows(array: np.ndarray) -> list[list[float]]:
    """Return the rows of an array in lexicographic order."""
    return sorted(array.tolist())


def assert_same_order(found: np.ndarray, expected: np.ndarray) -> None:
    """The column by which rows of a dimension are sorted must be the same."""
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    keys = [np.where(each[:, 0] == 0, each[:, 2], each[:, 1]) for each in (found, expected)]
    np.testing.assert_array_equal(*keys)


@pytest.mark.parametrize("construction", BOTH)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_rows_of_distinct_values_are_those_of_cripser(shape: tuple[int, ...], seed: int, construction: str) -> None:
    found, expected = (compute(without_ties(shape, seed)) for compute in BOTH[construction])
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert rows(found) == rows(expected)
    assert_same_order(found, expected)


@pytest.mark.parametrize("construction", BOTH)
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(7, 12), (16, 9), (3, 4, 5), (6, 9, 7), (37,)])
def test_rows_with_ties_have_the_values_of_cripser(shape: tuple[int, ...], kind: str, construction: str) -> None:
    x = inputs.image(kind, shape, dtype=np.float64)
    found, expected = (compute(x) for compute in BOTH[construction])
    assert found.shape == expected.shape and rows(found[:, :3]) == rows(expected[:, :3])
    assert_same_order(found, expected)
    for column, places in ((1, found[:, 3:6]), (2, found[:, 6:])):
        inside = places[:, 0] >= 0
        np.testing.assert_array_equal(inside, found[:, column] != NEVER)
        at = tuple(places[inside, : x.ndim].astype(int).T)
        np.testing.assert_array_equal(x[at], found[inside, column])


@pytest.mark.parametrize("construction", BOTH)
@pytest.mark.parametrize("shape", [(9,), (8, 9), (5, 6, 7)])
def test_dimensions_are_chosen_as_in_cripser(shape: tuple[int, ...], construction: str) -> None:
    x = without_ties(shape, 4)
    ours, theirs = BOTH[construction]
    for settings in ({"maxdim": 0}, {"maxdim": 1}, {"maxdim": 9}, {"maxdim": -1}, {"top_dim": True}):
        assert rows(ours(x, **settings)) == rows(theirs(x, **settings))
    for settings in ({}, {"inf_cutoff": False}, {"maxdim": 0, "location": "birth"}):
        expected = cripser.compute_ph(x, filtration=construction, **settings)
        assert rows(compute_ph(x, filtration=construction.lower(), **settings)) == rows(expected)


def test_images_one_pixel_wide_are_signals() -> None:
    x = without_ties((9,), 0)
    expected = computePH(x)
    assert len(expected) > 1
    np.testing.assert_array_equal(computePH(x[:, None]), expected)
    np.testing.assert_array_equal(computePH(x[None])[:, [0, 1, 2, 4, 3, 5]], expected[:, :6])


def test_arrays_of_any_kind_are_taken() -> None:
    x = torch.randn(9, 14, requires_grad=True)[:, ::2]
    expected = cripser.computePH(x.detach().numpy().astype(np.float64))
    assert rows(computePH(x)) == rows(expected)
    assert rows(computePH(x.tolist())) == rows(expected)
    assert computePH(np.full((3, 3), np.inf)).shape == (0, 9)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="arr must have no NaN"):
        computePH([[0.0, np.nan]])
    with pytest.raises(ValueError, match="arr must have 1, 2 or 3 axes, got 4"):
        computePH(np.zeros((2, 2, 2, 2)))
    with pytest.raises(ValueError, match="arr must have windows of at least one pixel"):
        computePH(np.zeros((0, 3)))
    with pytest.raises(NotImplementedError, match="embedded=True is not supported"):
        computePH(np.zeros((2, 2)), embedded=True)
    with pytest.raises(NotImplementedError, match="representatives=True is not supported"):
        computePH_T(np.zeros((2, 2)), representatives=True)
    with pytest.raises(ValueError, match="construction"):
        compute_ph(np.zeros((2, 2)), filtration="X")
