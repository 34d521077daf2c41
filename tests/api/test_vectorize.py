"""Vectors of diagrams equal GUDHI's, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gpuph
from gpuph import Diagram, SuperlevelDiagram, betti_curve, landscape, persistence_image, total_persistence
from support.diagrams import KINDS, Points, essential, integer, real

representations = pytest.importorskip("gudhi.representations")  # needs scikit-learn

SIZES = (0, 1, 2, 31)
GRID = np.linspace(-1.0, 25.0, 53)
TIMES = torch.from_numpy(GRID)
RANGES: dict[str, Any] = {"birth_range": (-1.0, 21.0), "persistence_range": (0.0, 9.0)}
FUNCTIONS: list[Callable[[Diagram], torch.Tensor]] = [
    total_persistence,
    lambda diagram: total_persistence(diagram, order=2),
    lambda diagram: total_persistence(diagram, order=0.5),
    lambda diagram: betti_curve(diagram, TIMES, width=0.7),
    lambda diagram: persistence_image(diagram, **RANGES, weight=lambda birth, persistence: persistence * birth),
    lambda diagram: landscape(diagram, TIMES, levels=3),
]


def batch(points: list[Points], dtype: torch.dtype = torch.float64) -> Diagram:
    return Diagram.from_list([torch.as_tensor(p, dtype=dtype) for p in points])


def windows(kind: Callable[..., Points]) -> list[Points]:
    rng = np.random.default_rng(0)
    return [kind(n, rng) for n in SIZES]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
def test_total_persistence_is_the_sum_of_powers(kind: Callable[..., Points], order: float) -> None:
    points = windows(kind)
    expected = [((p[:, 1] - p[:, 0]) ** order).sum() for p in points]
    np.testing.assert_allclose(total_persistence(batch(points), order=order), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_betti_curve_equals_gudhi(kind: Callable[..., Points]) -> None:
    points = windows(kind)
    grid = np.concatenate((GRID, points[-1][:, 0], points[-1][:, 1]))  # also exactly at births and deaths
    grid.sort()
    expected = representations.BettiCurve(predefined_grid=grid).fit_transform(points)
    assert betti_curve(batch(points), grid).tolist() == expected.tolist()


def test_betti_curve_counts_essential_classes_like_gudhi() -> None:
    points = [essential(9, np.random.default_rng(1), (2, 1, 1))]
    expected = representations.BettiCurve(predefined_grid=GRID).fit_transform(points)
    assert betti_curve(batch(points), GRID).tolist() == expected.tolist()


@pytest.mark.parametrize("resolution", [(20, 20), (5, 8), (1, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_persistence_image_equals_gudhi(kind: Callable[..., Points], resolution: tuple[int, int]) -> None:
    points = windows(kind)
    limits = [*RANGES["birth_range"], *RANGES["persistence_range"]]
    for weight, own in ((lambda p: 1, None), (lambda p: p[1] ** 2, lambda birth, persistence: persistence**2)):
        settings = {"resolution": resolution, "bandwidth": 1.5, "weight": weight, "im_range": limits}
        expected = [representations.PersistenceImage(**settings).fit_transform([p])[0] for p in points]
        found = persistence_image(batch(points), **RANGES, resolution=resolution, bandwidth=1.5, weight=own)
        assert found.shape == (len(points), *resolution[::-1])
        np.testing.assert_allclose(found.flatten(1), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("levels", [1, 5, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_landscape_equals_gudhi(kind: Callable[..., Points], levels: int) -> None:
    points = windows(kind)
    tool = representations.Landscape(num_landscapes=levels, resolution=len(GRID), sample_range=[GRID[0], GRID[-1]])
    tool.grid_ = GRID
    expected = tool.transform(points)
    found = landscape(batch(points), GRID, levels=levels)
    assert found.shape == (len(points), levels, len(GRID))
    np.testing.assert_allclose(found.flatten(1), expected, rtol=1e-9, atol=1e-9)


def test_tents_over_infinite_bars_rise_from_birth_and_fall_to_death() -> None:
    diagram = batch([np.array([[1.0, np.inf]]), np.array([[-np.inf, 2.0]]), np.array([[-np.inf, np.inf]])])
    found = landscape(diagram, [0.0, 1.5], levels=1)[:, 0] / 2**0.5
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.5], [2.0, 0.5], [torch.inf] * 2], dtype=torch.float64))


@pytest.mark.parametrize("which", range(len(FUNCTIONS)))
def test_gradient_is_the_derivative(which: int) -> None:
    rng = np.random.default_rng(2)
    leaves = [torch.tensor(real(n, rng), requires_grad=True) for n in (5, 1, 3)]
    assert torch.autograd.gradcheck(lambda *points: FUNCTIONS[which](Diagram.from_list(points)), leaves)


@pytest.mark.parametrize("which", range(5))
def test_essential_classes_and_points_on_the_diagonal_have_finite_gradients(which: int) -> None:
    points = [essential(5, np.random.default_rng(3), (2, 1, 1)), integer(9, np.random.default_rng(3)), np.zeros((0, 2))]
    leaves = [torch.tensor(p, requires_grad=True) for p in points]
    diagram = Diagram.from_list(leaves)
    found = FUNCTIONS[which](diagram)
    assert found.isfinite().all()
    found.sum().backward()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves)
    finite = FUNCTIONS[which](diagram.finite())
    if which != 3:  # essential classes count in Betti curves only
        assert torch.equal(finite, found)


@pytest.mark.parametrize("which", range(len(FUNCTIONS)))
def test_padding_is_not_read_and_windows_are_independent(which: int) -> None:
    points = windows(real)
    clean = batch(points)
    dirty = Diagram(
        clean.birth.where(clean.mask, 3.0),
        clean.death.where(clean.mask, 9.0),
        clean.birth_index,
        clean.death_index,
        clean.count,
    )
    found = FUNCTIONS[which](clean)
    assert torch.equal(FUNCTIONS[which](dirty), found)
    for i, p in enumerate(points):
        torch.testing.assert_close(FUNCTIONS[which](batch([p]))[0], found[i], rtol=1e-12, atol=1e-12)
    assert FUNCTIONS[which](clean[:0]).shape == (0, *found.shape[1:])


def test_superlevel_diagrams_have_the_vectors_of_the_negated_ones() -> None:
    points = windows(integer)
    sub, sup = batch(points), SuperlevelDiagram.from_list([-torch.tensor(p) for p in points])
    assert torch.equal(total_persistence(sup), total_persistence(sub))
    grid = np.arange(-1.0, 13.0)
    assert torch.equal(betti_curve(sup, -grid), betti_curve(sub, grid))
    assert torch.equal(betti_curve(sup, -grid, width=0.3), betti_curve(sub, grid, width=0.3))
    assert torch.equal(landscape(sup, -grid), landscape(sub, grid))
    image = persistence_image(sup, birth_range=(-6.0, 1.0), persistence_range=(0.0, 5.0))
    mirrored = persistence_image(sub, birth_range=(-1.0, 6.0), persistence_range=(0.0, 5.0)).flip(2)
    torch.testing.assert_close(image, mirrored)


def test_betti_curve_of_superlevel_sets_counts_the_components_of_an_image() -> None:
    x = torch.randint(0, 6, (3, 12, 12), generator=torch.Generator().manual_seed(0)).float()
    curve = betti_curve(gpuph.persistence(x, 0, superlevel=True)[0], range(-1, 7))
    for t, found in zip(range(-1, 7), curve.T, strict=True):
        at_t = gpuph.persistence((x >= t).float(), 0, superlevel=True)[0]
        assert found.tolist() == (at_t.birth.where(at_t.mask, 0.0) == 1).sum(1).tolist()


def test_smooth_betti_curve_approaches_the_exact_one() -> None:
    points = windows(real)
    grid = torch.linspace(-1, 25, 7, dtype=torch.float64)
    torch.testing.assert_close(betti_curve(batch(points), grid, width=1e-6), betti_curve(batch(points), grid))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_vectors_have_the_dtype_of_the_diagram(dtype: torch.dtype) -> None:
    diagram = batch(windows(integer), dtype)
    exact = batch(windows(integer))
    for function in (*FUNCTIONS, lambda diagram: betti_curve(diagram, [0.0, 2.0, 5.0])):
        found = function(diagram)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), function(exact), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("which", range(len(FUNCTIONS)))
def test_vectors_compile_without_graph_breaks(which: int) -> None:
    diagram = batch(windows(real))

    def vector(birth: torch.Tensor) -> torch.Tensor:
        return FUNCTIONS[which](Diagram(birth, diagram.death, diagram.birth_index, diagram.death_index, diagram.count))

    compiled = torch.compile(vector, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(diagram.birth), vector(diagram.birth))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: total_persistence(d, order=0), ValueError, "order must be a positive number, got 0"),
        (lambda d: betti_curve(d, [[0.0]]), ValueError, r"grid must have the shape \(T,\), got \(1, 1\)"),
        (lambda d: betti_curve(d, "ab"), TypeError, "grid must be a tensor or an array, got 'ab'"),
        (lambda d: betti_curve(d, [0.0], width=-1), ValueError, "width must be a number of 0 or more, got -1"),
        (lambda d: landscape(d, [0.0], levels=0), ValueError, "levels must be an int of 1 or more, got 0"),
        (
            lambda d: persistence_image(d, birth_range=(0.0,), persistence_range=(0, 1)),
            ValueError,
            r"birth_range must be two numbers, .* got \(0\.0,\)",
        ),
        (
            lambda d: persistence_image(d, **RANGES, weight=lambda birth, persistence: birth.sum()),
            TypeError,
            r"weight must return a tensor of shape \(4, 31\)",
        ),
        (lambda d: landscape(d.to_list(), [0.0]), TypeError, "diagram must be a gpuph.Diagram, got list"),
    ],
)
def test_wrong_arguments_raise(call: Callable[[Diagram], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(batch(windows(real)))
