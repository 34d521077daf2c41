"""`gpuph.interop.gudhi` against GUDHI itself."""

from __future__ import annotations

from itertools import pairwise

import gudhi
import numpy as np
import pytest
import torch

from gpuph.interop.gudhi import CubicalComplex, PeriodicCubicalComplex
from support import inputs

SHAPES = ((7, 12), (12, 5), (1, 9), (9, 1), (16, 9), (3, 4, 5), (9, 14, 11), (1, 4, 5), (2, 3, 1), (1,), (2,), (37,))
CELLS = ("top_dimensional_cells", "vertices")
PIXELS = {"top_dimensional_cells": "cofaces_of_persistence_pairs", "vertices": "vertices_of_persistence_pairs"}


def both(**settings: object) -> tuple[CubicalComplex, gudhi.CubicalComplex]:
    """Return our complex and GUDHI's, of the same arguments, with their persistence over the field of two elements."""
    ours, theirs = CubicalComplex(**settings), gudhi.CubicalComplex(**settings)
    for each in (ours, theirs):
        each.compute_persistence(homology_coeff_field=2)
    return ours, theirs


def without_ties(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape).astype(np.float64)


def rows(array: np.ndarray) -> list[list[float]]:
    """Return the rows of an array in lexicographic order."""
    return sorted(array.tolist())


def assert_same_values(ours: CubicalComplex, theirs: gudhi.CubicalComplex) -> None:
    """Points must be equal, in the same order, except among pairs of one death or of one length."""
    for dim in range(-1, ours.dimension() + 2):
        found, expected = (each.persistence_intervals_in_dimension(dim) for each in (ours, theirs))
        assert found.dtype == expected.dtype and found.shape == expected.shape and rows(found) == rows(expected)
        np.testing.assert_array_equal(found[:, 1], expected[:, 1])
    found, expected = ours.persistence(), theirs.persistence()
    assert sorted(found) == sorted(expected)
    assert [dim for dim, _ in found] == [dim for dim, _ in expected]
    assert ours.betti_numbers() == theirs.betti_numbers()


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_pairs_of_distinct_values_are_those_of_gudhi(shape: tuple[int, ...], seed: int, cells: str) -> None:
    ours, theirs = both(**{cells: without_ties(shape, seed)})
    assert_same_values(ours, theirs)
    (found, essential), (expected, expected_essential) = (getattr(each, PIXELS[cells])() for each in (ours, theirs))
    assert [rows(each) for each in found] == [rows(each) for each in expected]
    assert [(each.dtype, each.shape) for each in found] == [(each.dtype, each.shape) for each in expected]
    assert [each.tolist() for each in essential] == [each.tolist() for each in expected_essential]
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine[:, 1], other[:, 1])  # the order of deaths


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(7, 12), (12, 5), (1, 9), (16, 9), (3, 4, 5), (6, 9, 7), (37,)])
def test_pairs_with_ties_have_the_values_of_gudhi(shape: tuple[int, ...], kind: str, cells: str) -> None:
    x = inputs.image(kind, shape)
    ours, theirs = both(**{cells: x})
    assert_same_values(ours, theirs)
    (found, essential), (expected, _) = (getattr(each, PIXELS[cells])() for each in (ours, theirs))
    flat = x.astype(np.float64).ravel(order="F")
    assert [rows(flat[each]) for each in found] == [rows(flat[each]) for each in expected]
    assert flat[essential[0]].tolist() == [flat.min()]


@pytest.mark.parametrize("cells", CELLS)
def test_flat_values_are_read_in_fortran_order(cells: str) -> None:
    for shape in ((4, 9), (3, 5, 4), (11,)):
        flat = without_ties((int(np.prod(shape)),), 5)
        ours, theirs = both(**{cells: [*flat], "dimensions": shape})
        assert_same_values(ours, theirs)
        (found, _), (expected, _) = (getattr(each, PIXELS[cells])() for each in (ours, theirs))
        assert [rows(each) for each in found] == [rows(each) for each in expected]
        np.testing.assert_array_equal(getattr(ours, cells)(), flat.reshape(shape, order="F"))


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 2), (6,), (1, 1)])
def test_cells_are_those_of_gudhi(shape: tuple[int, ...], cells: str) -> None:
    ours, theirs = both(**{cells: inputs.image("integers", shape)})
    assert (ours.dimension(), ours.num_simplices()) == (theirs.dimension(), theirs.num_simplices())
    for method in ("all_cells", "top_dimensional_cells", "vertices"):
        found, expected = getattr(ours, method)(), getattr(theirs, method)()
        assert found.dtype == expected.dtype and found.flags.f_contiguous == expected.flags.f_contiguous
        np.testing.assert_array_equal(found, expected)


def test_short_pairs_are_left_out_as_in_gudhi() -> None:
    x = inputs.image("noise", (15, 22), dtype=np.float64)
    ours, theirs = CubicalComplex(vertices=x), gudhi.CubicalComplex(vertices=x)
    for least in (0.0, 0.5, 1.5, 100.0):
        assert sorted(ours.persistence(min_persistence=least)) == sorted(theirs.persistence(2, least))
        for born, dies in ((-0.5, 0.2), (0.0, 0.0), (1.0, 1.0), (-9.0, 9.0), (0.0, np.inf)):
            assert ours.persistent_betti_numbers(born, dies) == theirs.persistent_betti_numbers(born, dies)


def test_tensors_and_strides_are_taken() -> None:
    x = torch.randn(9, 14, requires_grad=True)[:, ::2]
    ours, theirs = CubicalComplex(top_dimensional_cells=x), gudhi.CubicalComplex(top_dimensional_cells=x.detach())
    assert sorted(ours.persistence()) == sorted(theirs.persistence())
    booleans = np.indices((5, 6)).sum(axis=0) % 2 == 0
    ours, theirs = both(vertices=booleans)
    assert_same_values(ours, theirs)


def test_results_may_be_changed_by_the_caller() -> None:
    x = np.asfortranarray(without_ties((6, 8), 0))
    ours = CubicalComplex(top_dimensional_cells=x)
    x[:] = 0
    ours.compute_persistence()
    assert ours.persistence_intervals_in_dimension(1).size
    points = ours.persistence_intervals_in_dimension(0)
    kept = points.copy()
    points += 1
    ours.all_cells()[:] = 0
    ours.cofaces_of_persistence_pairs()[0][0][:] = 0
    assert ours.all_cells().any() and ours.cofaces_of_persistence_pairs()[0][0].any()
    np.testing.assert_array_equal(ours.persistence_intervals_in_dimension(0), kept)


def test_wrong_arguments_are_named() -> None:
    x = np.zeros((3, 4))
    for settings in ({}, {"dimensions": [3, 4]}, {"top_dimensional_cells": x, "vertices": x}):
        with pytest.raises(ValueError, match="pass one of top_dimensional_cells and vertices"):
            CubicalComplex(**settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a flat sequence of 15 values for dimensions=\[3, 5\], got .*\(12,\)"):
        CubicalComplex(top_dimensional_cells=x.ravel(), dimensions=[3, 5])
    with pytest.raises(ValueError, match="vertices must have 1, 2 or 3 axes, got 4"):
        CubicalComplex(vertices=np.zeros((2, 2, 2, 2)))
    with pytest.raises(ValueError, match="vertices must have windows of at least one pixel"):
        CubicalComplex(vertices=np.zeros((0, 2)))
    with pytest.raises(NotImplementedError, match="perseus_file is not supported"):
        CubicalComplex(perseus_file="image.txt")
    with pytest.raises(NotImplementedError, match="periodic images are not supported"):
        PeriodicCubicalComplex(top_dimensional_cells=x, periodic_dimensions=[True, False])
    ours = CubicalComplex(top_dimensional_cells=x)
    with pytest.raises(RuntimeError, match=r"call compute_persistence\(\) before betti_numbers\(\)"):
        ours.betti_numbers()
    for field in (0, 1, 4, 46336):
        with pytest.raises(ValueError, match=f"homology_coeff_field must be a prime number, got {field}"):
            ours.persistence(field)
    with pytest.raises(ValueError, match="min_persistence must be a number of 0 or more"):
        ours.persistence(min_persistence=-1)
    ours.compute_persistence(46337)
    with pytest.raises(RuntimeError, match="needs a complex of vertices, but this one has top_dimensional_cells"):
        ours.vertices_of_persistence_pairs()
    x[1, 1] = np.nan
    with pytest.raises(ValueError, match="top_dimensional_cells must have no NaN"):
        CubicalComplex(top_dimensional_cells=x).compute_persistence()


def curve_that_winds_twice() -> np.ndarray:
    """Return a solid ring of voxels, 2, and on it a closed curve, 1, that winds around the hole twice; 3 elsewhere."""
    side = 10
    volume = np.full((3, side, side), 3.0)
    y, x = np.indices((side, side))
    layer = np.minimum.reduce((y, x, side - 1 - y, side - 1 - x))  # from the border inwards
    volume[:, layer < 3] = 2.0
    volume[0, layer == 0] = volume[2, layer == 2] = 1.0
    # The two strands change places on one side of the ring, by half a turn around each other.
    volume[:, :3, 3:7] = 2.0
    way = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2)]
    for i, step in enumerate(pairwise(way), 3):
        for z, y in step:
            volume[z, y, i] = volume[2 - z, 2 - y, i] = 1.0
    return volume


def test_loops_of_volumes_are_those_over_the_field_of_two_elements() -> None:
    """Twice around the ring is a boundary over two elements only, and the way once around is born in its place."""
    volume, loops = curve_that_winds_twice(), {}
    theirs = gudhi.CubicalComplex(vertices=volume)
    for field in (2, 3, 11):
        theirs.compute_persistence(homology_coeff_field=field)
        loops[field] = rows(theirs.persistence_intervals_in_dimension(1))
    assert loops == {2: [[1.0, 2.0], [2.0, 3.0]], 3: [[1.0, 3.0]], 11: [[1.0, 3.0]]}
    ours = CubicalComplex(vertices=volume)
    for field in (2, 11):
        ours.compute_persistence(homology_coeff_field=field)
        assert rows(ours.persistence_intervals_in_dimension(1)) == loops[2]
