"""Small cases with known answers, from GUDHI's test_cubical_complex.py and test_wasserstein_distance.py.

Inputs and values are theirs (V. Rouvreau, T. Lacombe, M. Glisse, Inria); GUDHI is under the MIT licence. GUDHI numbers
pixels in Fortran order, and gpuph in C order. `wasserstein_distance` has order 2 and the Euclidean ground norm; where
GUDHI's value is for another order or norm, the expected value is worked out again and theirs is in a comment.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import gpuph
from gpuph import Diagram

INF = math.inf
Bars = set[tuple[int, float, float]]


def bars(x: Tensor, construction: str, min_persistence: float = 0.0) -> Bars:
    """Return dimension, birth and death of all pairs of one image."""
    diagrams = gpuph.persistence(x[None], None, construction, min_persistence)
    return {(dim, *map(float, point)) for dim, diagram in diagrams.items() for point in diagram.to_list()[0]}


ROWS = torch.arange(1.0, 10.0).view(3, 3)
AS_VERTICES = torch.tensor([[1.0, 1, 2, 3], [1, 1, 2, 3], [4, 4, 5, 6], [7, 7, 8, 9]])
SQUARE = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
SQUARE_OF_VERTICES = torch.tensor([[0.0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
HILLS = torch.tensor([[2.0, 1, 6, 8], [5, 9, 4, 7], [4, 7, 3, 9]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("image", "construction", "expected"),
    [
        (ROWS, "T", {(0, 1, INF)}),
        (AS_VERTICES, "V", {(0, 1, INF)}),
        (torch.tensor([[INF, 0, 0], [0, 1, 0], [0, 0, 0]]), "T", {(1, 0, 1), (0, 0, INF)}),
        (torch.tensor([[1000.0, 0, 0], [0, 1, 0], [0, 0, 0]]), "T", {(1, 0, 1), (0, 0, INF)}),
        (100 * SQUARE, "T", {(1, 0, 100), (0, 0, INF)}),
        (torch.tensor([[3.0, 3], [2, 2], [4, 4]]), "T", {(0, 2, INF)}),
        (SQUARE, "T", {(1, 0, 1), (0, 0, INF)}),
        (SQUARE_OF_VERTICES, "V", {(1, 0, 1), (0, 0, INF)}),
        (HILLS, "V", {(1, 7, 9), (0, 1, INF), (0, 3, 6), (0, 4, 5)}),
        (torch.tensor([[0.0, 1.0]]), "T", {(0, 0, INF)}),
    ],
)
def test_diagram_of_a_small_image(image: Tensor, construction: str, expected: Bars, dtype: torch.dtype) -> None:
    assert bars(image.to(dtype), construction) == expected


def test_betti_numbers_at_a_threshold() -> None:
    """GUDHI's `persistent_betti_numbers(0, 1000)` of the image with the hole of 100 is [1, 0, 0]."""
    for image, expected in ((ROWS, [0, 0]), (100 * SQUARE, [1, 0])):
        found = bars(image, "T")
        assert [
            sum(dim == d and birth <= 0 and death > 1000 for d, birth, death in found) for dim in (0, 1)
        ] == expected


def test_pixels_of_pairs_equal_gudhi() -> None:
    diagrams = gpuph.persistence(HILLS[None], None, "V")
    places = {
        (dim, int(birth), int(death))
        for dim, diagram in diagrams.items()
        for birth, death in zip(diagram.birth_index[0], diagram.death_index[0], strict=True)
    }
    # GUDHI says in Fortran order: essential [3]; dimension 0 [[2, 1], [8, 6]]; dimension 1 [[5, 4]].
    assert places == {(0, 1, -1), (0, 8, 4), (0, 10, 2), (1, 9, 5)}


def test_pixels_of_tied_pairs_have_the_values_of_the_pairs() -> None:
    """GUDHI chooses other pixels of the same values: [7, 4] and 8, and [14, 10] and 14."""
    for image, construction in ((SQUARE, "T"), (SQUARE_OF_VERTICES, "V")):
        diagrams = gpuph.persistence(image[None], None, construction)
        flat = image.ravel()
        assert diagrams[1].count.tolist() == [1] and diagrams[0].count.tolist() == [1]
        assert flat[diagrams[1].birth_index[0, 0]] == 0 and flat[diagrams[1].death_index[0, 0]] == 1
        assert flat[diagrams[0].birth_index[0, 0]] == 0 and diagrams[0].death_index[0, 0] == -1


def test_image_without_finite_pairs_has_one_essential_class() -> None:
    diagrams = gpuph.persistence(torch.tensor([[[0.0, 1.0]]]))
    assert diagrams[0].birth_index.tolist() == [[0]] and diagrams[0].death_index.tolist() == [[-1]]
    assert diagrams[1].count.tolist() == [0] and diagrams[1].to_list()[0].shape == (0, 2)


@pytest.mark.parametrize("construction", ["T", "V"])
def test_strides_do_not_matter(construction: str) -> None:
    base = torch.from_numpy(np.random.default_rng(42).standard_normal((20, 10)))[::2]
    columns = base.T.contiguous().T
    assert not base.is_contiguous() and not columns.is_contiguous()
    expected = bars(base.contiguous(), construction)
    assert bars(base, construction) == expected and bars(columns, construction) == expected


def diagram(points: list[list[float]]) -> Diagram:
    return Diagram.from_list([torch.tensor(points, dtype=torch.float64).view(-1, 2)])


EMPTY = diagram([])
ONE = diagram([[2.7, 3.7], [9.6, 14.0], [34.2, 34.974]])
TWO = diagram([[2.8, 4.45], [9.5, 14.1]])
THREE, FOUR = diagram([[0, 2], [4, 6]]), diagram([[0, 3], [4, 8]])
FIVE, SIX = diagram([[0, 3], [4, INF]]), diagram([[7, 8], [4, 6], [3, INF]])
SEVEN = diagram([[0, 3], [4, INF], [5, INF]])
EIGHT = diagram([[0, 1], [0, INF], [-INF, -INF], [INF, INF]])
NINE, TEN = diagram([[-INF, -INF], [INF, INF]]), diagram([[0, 1], [-INF, -INF], [INF, INF]])
ESSENTIAL = [[-INF, -INF], [INF, INF], [-INF, INF], [-INF, INF]]
MIXED = diagram([[0, 1], [3, 5], [2, INF], [3, INF], [-INF, 8], [-INF, 12], *ESSENTIAL])
MOVED = diagram([[0, 2], [3, 5], [2, INF], [4, INF], [-INF, 8], [-INF, 11], *ESSENTIAL])
WITH_ONE_MORE = diagram([[0, 2], [3, 5], [2, INF], [4, INF], [6, INF], [-INF, 8], [-INF, 11], *ESSENTIAL])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (EMPTY, EMPTY, 0.0),
        (FOUR, EMPTY, 3.5355339059327378),
        (THREE, FOUR, math.sqrt(5)),  # for every ground norm, as points move along an axis
        (FOUR, FIVE, INF),
        (FIVE, EMPTY, INF),
        (SEVEN, EMPTY, INF),
        (EIGHT, NINE, INF),
        (NINE, EMPTY, 0.0),
        (NINE, TEN, math.sqrt(0.5)),  # theirs is 1, of order 1 with the norm 1
        (FIVE, SIX, math.sqrt(3**2 / 2 + 1 / 2 + 2**2 / 2 + 1)),  # theirs is 4, of order 1 with the norm inf
        (MIXED, MOVED, math.sqrt(1 + 2)),  # theirs is 2 for the essential classes, of order 1; each moves by 1
        (MIXED, WITH_ONE_MORE, INF),
    ],
)
def test_distance_between_small_diagrams(a: Diagram, b: Diagram, expected: float) -> None:
    for first, second in ((a, b), (b, a)):
        found = gpuph.wasserstein_distance(first, second)
        torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64), rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("solver", ["augment", "auction"])
@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (EMPTY, EMPTY, set()),
        (EMPTY, TWO, {(-1, 0), (-1, 1)}),
        (TWO, EMPTY, {(0, -1), (1, -1)}),
        (ONE, TWO, {(0, 0), (1, 1), (2, -1)}),
        (FIVE, SIX, {(0, -1), (-1, 0), (-1, 1), (1, 2)}),
        (NINE, TEN, {(0, -1), (1, -1), (-1, 0), (-1, 1), (-1, 2)}),
        (NINE, EMPTY, {(0, -1), (1, -1)}),
    ],
)
def test_matching_of_small_diagrams(a: Diagram, b: Diagram, expected: set[tuple[int, int]], solver: str) -> None:
    matching = gpuph.match(a, b, solver=solver)
    pairs = {(i, j) for i, j in enumerate(matching.partner_a[0].tolist())}
    pairs |= {(i, j) for j, i in enumerate(matching.partner_b[0].tolist())}
    assert pairs == expected


def test_essential_classes_are_matched_within_their_kind() -> None:
    matching = gpuph.match(MIXED, MOVED)
    pairs = {*enumerate(matching.partner_a[0].tolist())}
    assert pairs == {(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, -1), (7, -1), (8, 8), (9, 9)}
