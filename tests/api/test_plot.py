"""Pictures show every point, pair and pixel where it is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_rgba

import gpuph
from gpuph import plot
from gpuph.plot import canvas
from support.processes import python

matplotlib.use("agg")
IMAGES = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))
DIAGRAMS = gpuph.persistence(IMAGES)
ONE = gpuph.persistence(IMAGES[0], batched=False)


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    pyplot.close("all")


def offsets(collection: object) -> np.ndarray:
    return np.asarray(collection.get_offsets())


def texts(ax: pyplot.Axes) -> list[str]:
    return [] if ax.get_legend() is None else [text.get_text() for text in ax.get_legend().get_texts()]


def test_diagram_has_one_point_for_each_pair() -> None:
    ax = plot.diagram(ONE)
    assert texts(ax) == ["dimension 0", "dimension 1"]
    for dim, collection in enumerate(ax.collections):
        points = ONE[dim].to_list()[0].double().numpy()
        finite = np.isfinite(points[:, 1])
        np.testing.assert_array_equal(offsets(collection)[finite], points[finite])


@pytest.mark.parametrize("superlevel", [False, True])
def test_essential_class_is_on_the_dashed_line_beyond_all_deaths(superlevel: bool) -> None:
    diagrams = gpuph.persistence(IMAGES[:1], superlevel=superlevel)
    ax = plot.diagram(diagrams)
    (dashed,) = (line for line in ax.lines if line.get_linestyle() == "--")
    height = dashed.get_ydata()[0]
    deaths = np.concatenate([offsets(collection)[:, 1] for collection in ax.collections])
    assert (deaths == height).sum() == 1
    assert height == (deaths.min() if superlevel else deaths.max())
    low, high = sorted(ax.get_ylim())
    assert low < height < high
    assert ["-∞" if superlevel else "∞"] == [text.get_text() for text in ax.texts]


def test_axes_have_no_dashed_line_without_essential_classes() -> None:
    assert not [line for line in plot.diagram(ONE[1]).lines if line.get_linestyle() == "--"]


def test_diagram_of_an_unknown_dimension_has_no_legend() -> None:
    assert texts(plot.diagram(ONE[1])) == []
    assert plot.barcode(ONE[1]).get_yticklabels() == []


@pytest.mark.parametrize("function", [plot.diagram, plot.barcode])
def test_window_of_a_batch_is_drawn_as_the_window_alone(function: object) -> None:
    chosen, alone = function(DIAGRAMS, window=2), function(DIAGRAMS.select(2))
    for one, other in zip(chosen.collections, alone.collections, strict=True):
        for x, y in zip(one.get_paths(), other.get_paths(), strict=True):
            np.testing.assert_array_equal(x.vertices, y.vertices)
        np.testing.assert_array_equal(offsets(one), offsets(other))


@pytest.mark.parametrize("superlevel", [False, True])
def test_barcode_has_one_bar_for_each_pair_in_the_order_of_births(superlevel: bool) -> None:
    diagrams = gpuph.persistence(IMAGES[:1], superlevel=superlevel)
    ax = plot.barcode(diagrams)
    rows = []
    for dim, collection in enumerate(ax.collections):
        bars = np.array(collection.get_segments())
        rows += bars[:, 0, 1].tolist()
        births = bars[:, 0, 0]
        expected = diagrams[dim].to_list()[0].double().numpy()
        finite = np.isfinite(expected[:, 1])
        assert len(bars) == len(expected)
        np.testing.assert_array_equal(births, np.sort(expected[:, 0])[:: -1 if superlevel else 1])
        assert sorted(bars[:, 1, 0])[: finite.sum()] == sorted(expected[finite, 1]) or superlevel
    assert rows == [*range(len(rows))]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dimension 0", "dimension 1"]
    (arrow,) = ax.lines
    assert arrow.get_xdata() == pytest.approx(ax.get_xlim()[1])  # the essential class leaves at the right


def test_infinite_births_and_empty_diagrams_can_be_drawn() -> None:
    infinite = gpuph.Diagram.from_list([torch.tensor([[-math.inf, 1.0], [-math.inf, math.inf]])])
    assert np.isfinite(offsets(plot.diagram(infinite).collections[0])).all()
    assert len(plot.barcode(infinite).lines) == 2  # arrows at both edges
    empty = gpuph.Diagram.from_list([torch.zeros(0, 2)])
    assert len(offsets(plot.diagram(empty).collections[0])) == 0
    assert plot.barcode(empty).collections[0].get_segments() == []


def pairs_of_two() -> tuple[gpuph.Diagram, gpuph.Diagram, gpuph.Matching]:
    a = gpuph.Diagram.from_list([torch.tensor([[0.0, 1.0], [0.0, 8.0], [0.0, math.inf]])])
    b = gpuph.Diagram.from_list([torch.tensor([[1.0, 8.0], [4.0, 5.0], [9.0, 9.5], [0.5, math.inf]])])
    return a, b, gpuph.match(a, b)


def test_matching_joins_partners_and_leads_others_to_the_diagonal() -> None:
    a, b, found = pairs_of_two()
    ax = plot.matching(a, b, found)
    squares, dots = ax.collections[:2]
    assert len(offsets(dots)) == 3 and len(offsets(squares)) == 4
    lines = [(line.get_linestyle(), line.get_xydata().tolist()) for line in ax.lines]
    assert ("-", [[0.0, 8.0], [1.0, 8.0]]) in lines
    dotted = [line for style, line in lines if style == ":"]
    assert dotted == [[[4.0, 5.0], [4.5, 4.5]], [[9.0, 9.5], [9.25, 9.25]], [[0.0, 1.0], [0.5, 0.5]]]
    (height,) = {line[0][1] for style, line in lines if style == "-" and line[0][0] == 0.0 and line[0][1] > 9.5}
    assert ("-", [[0.0, height], [0.5, height]]) in lines  # the essential classes


def test_pairs_have_the_colours_that_are_given_and_unmatched_points_are_red() -> None:
    a, b, found = pairs_of_two()
    squares, dots = plot.matching(a, b, found, colors=["#000000", "#ffffff"]).collections[:2]
    black, white, red = map(to_rgba, ("#000000", "#ffffff", canvas.VERMILLION))
    assert [tuple(colour) for colour in dots.get_edgecolors()] == [red, black, white]
    assert [tuple(colour) for colour in squares.get_edgecolors()] == [black, red, red, white]


def test_betti_matchings_of_a_batch_can_be_drawn() -> None:
    found = gpuph.betti_match(IMAGES, IMAGES.flip(1), dims=1)
    ax = plot.matching(found.pred[1], found.target[1], found[1], window=1)
    joined = sum(line.get_linestyle() == "-" for line in ax.lines) - 1  # without the diagonal
    assert joined == int((found[1].partner_a[1] >= 0).sum())


def test_gradient_marks_each_pulled_pixel_in_the_direction_of_descent() -> None:
    slopes = torch.zeros(1, 1, 24, 24)
    slopes[..., 3, 7], slopes[..., 5, 9] = -2.0, 1.0
    ax = plot.gradient(IMAGES[:1, None], slopes)
    grey, colours = (np.asarray(image.get_array()) for image in ax.images)
    np.testing.assert_allclose(grey, IMAGES[0].double())
    assert np.argwhere(colours[..., 3] > 0).tolist() == [[3, 7], [5, 9]]
    assert tuple(colours[3, 7, :3]) == to_rgba(canvas.ORANGE)[:3]
    raised, lowered = ax.collections
    assert offsets(raised).tolist() == [[7, 3]] and offsets(lowered).tolist() == [[9, 5]]
    assert raised.get_sizes()[0] > lowered.get_sizes()[0]
    assert texts(ax) == ["raised by descent", "lowered by descent"]


def test_dense_gradients_are_colours_alone() -> None:
    ax = plot.gradient(IMAGES[0], IMAGES[0] - 0.5)
    assert len(ax.collections) == 0 and len(texts(ax)) == 2
    assert texts(plot.gradient(IMAGES[0], torch.zeros(24, 24))) == []


def test_representatives_are_the_pixels_of_their_pairs() -> None:
    found = gpuph.representatives(IMAGES, DIAGRAMS)[1]
    ax = plot.representatives(IMAGES[1], found, pairs=[4], window=1)
    np.testing.assert_array_equal(np.asarray(ax.images[1].get_array())[..., 3] > 0, found.mask(1, 4))
    assert texts(ax) == ["pair 4"]


def test_essential_class_is_left_out_by_default() -> None:
    found = gpuph.representatives(IMAGES[0], ONE, batched=False)[0]
    assert int(found.count[0, 0]) == IMAGES[0].numel()
    assert texts(plot.representatives(IMAGES[0], found)) == [f"pair {k}" for k in range(1, 8)]


BATCHES = {
    "diagram": lambda: plot.diagram(DIAGRAMS),
    "barcode": lambda: plot.barcode(DIAGRAMS[1]),
    "matching": lambda: plot.matching(DIAGRAMS[1], DIAGRAMS[1], gpuph.match(DIAGRAMS[1], DIAGRAMS[1])),
    "gradient": lambda: plot.gradient(IMAGES, IMAGES),
    "representatives": lambda: plot.representatives(IMAGES[0], gpuph.representatives(IMAGES, DIAGRAMS)[1]),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batch_without_a_choice_raises(name: str) -> None:
    with pytest.raises(ValueError, match=r"window=0|image\[0\]"):
        BATCHES[name]()


@pytest.mark.parametrize("window", [3, -1])
def test_window_that_is_not_there_raises(window: int) -> None:
    with pytest.raises(ValueError, match="window must be an int"):
        plot.diagram(DIAGRAMS, window=window)


def test_errors_name_the_argument() -> None:
    other = gpuph.match(DIAGRAMS[0], DIAGRAMS[0])
    found = gpuph.representatives(IMAGES, DIAGRAMS)
    with pytest.raises(ValueError, match="matching must be of a and b"):
        plot.matching(DIAGRAMS[1], DIAGRAMS[1], other, window=0)
    with pytest.raises(TypeError, match=r"found must be gpuph\.Representatives of one"):
        plot.representatives(IMAGES[0], found)
    with pytest.raises(ValueError, match="image must be one window of found"):
        plot.representatives(IMAGES[0, 1:], found[1], window=0)
    with pytest.raises(ValueError, match="a column must be an int of at most"):
        plot.representatives(IMAGES[0], found[1], window=0, pairs=[10**6])
    with pytest.raises(ValueError, match="gradient must have the image's shape"):
        plot.gradient(IMAGES[0], IMAGES[0, 1:])
    with pytest.raises(ValueError, match="gradient must be finite"):
        plot.gradient(IMAGES[0], IMAGES[0] * math.nan)
    with pytest.raises(TypeError, match=r"diagrams must be gpuph\.Diagrams"):
        plot.diagram({})


def test_every_picture_is_drawn_into_the_axes_that_are_given() -> None:
    ax = pyplot.subplots()[1]
    found = gpuph.representatives(IMAGES[0], ONE, batched=False)[1]
    matching = gpuph.match(ONE[1], ONE[1])
    assert plot.diagram(ONE, ax=ax) is ax and plot.barcode(ONE, ax=ax) is ax
    assert plot.matching(ONE[1], ONE[1], matching, ax=ax) is ax
    assert plot.gradient(IMAGES[0], IMAGES[0], ax=ax) is ax and plot.representatives(IMAGES[0], found, ax=ax) is ax
    assert len(pyplot.get_fignums()) == 1


WITHOUT = """
import sys
sys.modules["matplotlib"] = None
import torch, gpuph
from gpuph import plot
try:
    plot.diagram(gpuph.persistence(torch.zeros(1, 4, 4)))
except ImportError as error:
    assert "gpuph[plot]" in str(error), error
else:
    raise AssertionError("no error")
"""


def test_missing_matplotlib_names_the_extra() -> None:
    run = python("-c", WITHOUT)
    assert run.returncode == 0, run.stderr
