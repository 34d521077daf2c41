"""`representatives` against a breadth-first search, and the properties that its docstring states."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import gpuph
from gpuph import Diagram, representatives
from support import inputs, regions

CONSTRUCTIONS = ("T", "V")
SETTINGS = [*itertools.product(CONSTRUCTIONS, (False, True))]
RING = torch.tensor([[0.0, 0, 0, 0, 0], [0, 5, 5, 5, 0], [0, 5, 1, 5, 0], [0, 5, 5, 5, 0], [0, 0, 0, 0, 0]])


def pairs_of(diagram: Diagram, window: int) -> list[tuple[int, int]]:
    n = int(diagram.count[window])
    return [*zip(diagram.birth_index[window, :n].tolist(), diagram.death_index[window, :n].tolist(), strict=True)]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (4, 7), (12, 5), (16, 16), (2, 3, 4), (5, 4, 6)])
@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_components_and_cavities_equal_a_breadth_first_search(
    kind: str, shape: tuple[int, ...], construction: str
) -> None:
    last = len(shape) - 1
    for superlevel in (False, True):
        image = inputs.image(kind, shape, seed=superlevel)
        diagrams = gpuph.persistence(image, (0, last), construction, batched=False, superlevel=superlevel)
        found = representatives(image, diagrams, None, construction, filled=True, batched=False)
        rank = regions.ranks(image, construction, superlevel)
        for dim in (0, last):
            pairs = pairs_of(diagrams[dim], 0)
            assert found[dim].start.shape == (1, len(pairs))
            for k, pair in enumerate(pairs):
                pixels = found[dim][0, k].tolist()
                assert len(pixels) == len(set(pixels))
                assert set(pixels) == regions.region(rank, shape, pair, dim, construction)


@pytest.mark.parametrize(("construction", "superlevel"), SETTINGS)
def test_loops_of_a_thousand_windows_pass_births_and_enclose_deaths(construction: str, superlevel: bool) -> None:
    for seed, kind in itertools.product(range(25), ("noise", "smooth", "integers", "infinities", "checkerboard")):
        shape = (9 + seed % 3, 8 + seed % 4)
        windows = np.stack([inputs.image(kind, shape, 2 * seed + i) for i in range(2)])
        loops = gpuph.persistence(windows, 1, construction, superlevel=superlevel)[1]
        found = representatives(windows, loops, 1, construction)
        for i, window in enumerate(windows):
            rank = regions.ranks(window, construction, superlevel)
            for k, (birth, death) in enumerate(pairs_of(loops, i)):
                pixels = found[i, k].tolist()
                assert pixels[0] == birth
                assert max(rank[p] for p in pixels) == rank[birth]
                assert is_enclosed(death, set(pixels), shape, construction)
                cavity = regions.region(rank, shape, (birth, death), 1, construction)
                assert set(pixels) == regions.loop(cavity, shape, birth, construction)


def is_enclosed(pixel: int, loop: set[int], shape: tuple[int, int], construction: str) -> bool:
    """Return whether every path from a pixel to the border, of steps as in cavities, meets the loop."""
    near = regions.neighbours(shape, regions.is_full(construction, 1))
    inside = regions.reached(pixel, near, lambda p: p not in loop)
    rows, columns = np.unravel_index(sorted(inside), shape)
    return bool(rows.min() > 0 and columns.min() > 0 and rows.max() < shape[0] - 1 and columns.max() < shape[1] - 1)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_loops_are_closed_walks_of_one_contour_or_two_around_a_hole(construction: str) -> None:
    shape, with_hole = (13, 13), 0
    distance = torch.stack(torch.meshgrid(*[torch.arange(13) - 6] * 2, indexing="ij")).abs().amax(0)
    target = torch.tensor([5.0, 5, 0, 0, 3, 3, 0])[distance]  # a peak in a moat in a rampart, which is a cavity
    target[6, 8:10] = 1.5  # where the peak and the rampart meet
    windows = torch.cat((target + 0.2 * noise(8, *shape), noise(8, *shape)))
    loops = gpuph.persistence(windows, 1, construction)[1]
    near = regions.neighbours(shape, not regions.is_full(construction, 1))
    for i, found in enumerate(representatives(windows, loops, 1, construction).to_list()):
        rank = regions.ranks(windows[i].numpy(), construction, False)
        for pixels, pair in zip(found, pairs_of(loops, i), strict=True):
            walk = pixels.tolist()
            breaks = [k for k in range(1, len(walk)) if walk[k] not in near[walk[k - 1]]]
            parts = (walk[: breaks[0]], walk[breaks[0] :]) if breaks else (walk,)
            assert len(breaks) <= 1
            assert all(part[-1] in near[part[0]] and len(part) >= 4 for part in parts)
            assert walk[0] == pair[0]
            cavity = regions.region(rank, shape, pair, 1, construction)
            assert set(walk) == regions.loop(cavity, shape, pair[0], construction)
            with_hole += len(breaks)
    assert with_hole >= 8


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_shells_are_all_voxels_that_touch_a_cavity(construction: str) -> None:
    volume = noise(9, 8, 7)
    voids = gpuph.persistence(volume, 2, construction, batched=False)[2]
    shells = representatives(volume, voids, 2, construction, batched=False)
    cavities = representatives(volume, voids, 2, construction, filled=True, batched=False)
    assert voids.count >= 5
    for k in range(int(voids.count)):
        pixels = shells[0, k].tolist()
        assert len(pixels) == len(set(pixels))
        assert set(pixels) == regions.shell(cavities[0, k].tolist(), (9, 8, 7), construction)


@pytest.mark.parametrize("dim", [0, 1])
def test_pixels_of_a_pair_do_not_depend_on_the_other_pairs(dim: int) -> None:
    x = noise(2, 40, 40)
    diagram = gpuph.persistence(x)[dim]
    found = representatives(x, diagram, dim)
    for k in (1, 5, 60):
        index = (part[:, k : k + 1] for part in diagram._parts()[:4])
        one = representatives(x, Diagram(*index, torch.ones(2, dtype=torch.int64)), dim)
        for i in range(2):
            assert set(one[i, 0].tolist()) == set(found[i, k].tolist())


def test_pixels_do_not_depend_on_the_batch_or_the_threads() -> None:
    x = noise(9, 20, 24)
    diagrams = gpuph.persistence(x)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        found = representatives(x, diagrams)
    finally:
        torch.set_num_threads(before)
    for i in range(9):
        alone = representatives(x[i : i + 1], diagrams.select(i))
        for dim in (0, 1):
            pairs = range(int(diagrams[dim].count[i]))
            assert all(torch.equal(found[dim][i, k], alone[dim][0, k]) for k in pairs)


def test_padding_is_empty_and_essential_classes_are_whole_windows() -> None:
    x = torch.stack((RING, torch.zeros(5, 5)))
    found = representatives(x, gpuph.persistence(x, capacity=4))
    assert found[0].count.tolist() == [[25, 1, 0, 0], [25, 0, 0, 0]]
    assert found[0][1, 0].tolist() == [*range(25)]
    assert found[0].mask(0, 1).nonzero().tolist() == [[2, 2]]
    assert found[1].count.tolist() == [[12, 0, 0, 0], [0, 0, 0, 0]]
    assert [len(window) for window in found[0].to_list()] == [2, 1]


def test_pairs_may_be_missing_or_in_other_columns() -> None:
    x = noise(3, 16, 16)
    diagrams = gpuph.persistence(x)
    whole = representatives(x, diagrams)
    finite = representatives(x, diagrams.finite())[0]
    long = representatives(x, gpuph.persistence(x, min_persistence=1.0))[1]
    few = representatives(x, gpuph.persistence(x, capacity=3))[1]
    keep = diagrams[1].death - diagrams[1].birth > 1.0
    masked = replace(diagrams[1], **{name: getattr(diagrams[1], name).where(keep, -1) for name in INDICES})
    assert torch.equal(finite[1, 0], whole[0][1, 1])
    assert torch.equal(representatives(x, masked, 1).count, whole[1].count.where(keep, 0))
    for i in range(3):
        assert torch.equal(long[i, 2], whole[1][i, 2])
        assert torch.equal(few[i, 2], whole[1][i, 2])


INDICES = ("birth_index", "death_index")


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.bool]
)
def test_all_dtypes_and_strides_give_the_pixels_of_their_values(dtype: torch.dtype) -> None:
    x = noise(2, 12, 9).mul(3).to(dtype).mT
    expected = representatives(x.double().contiguous(), gpuph.persistence(x.double()))
    found = representatives(x, gpuph.persistence(x))
    for dim in (0, 1):
        assert torch.equal(found[dim].pixels, expected[dim].pixels)
        assert found[dim].pixels.dtype == found[dim].start.dtype == torch.int64


def test_arrays_signals_and_empty_batches() -> None:
    signal = np.array([0, 3, 1, 2, 4], np.int16)
    basins = representatives(signal, gpuph.persistence(signal, batched=False), batched=False)[0]
    assert basins.window == (5,) and basins.mask(0, 1).tolist() == [False, False, True, True, False]
    assert basins[-1, -1].tolist() == [2, 3]
    empty = torch.zeros(0, 4, 4)
    found = representatives(empty, gpuph.persistence(empty))
    assert len(found[1]) == 0 and found[1].to_list() == [] and found[1].pixels.shape == (0,)


def test_gradients_flow_through_the_pixels_values() -> None:
    x = RING[None].clone().requires_grad_()
    loop = representatives(x, gpuph.persistence(x))[1][0, 0]
    x.flatten()[loop].sum().backward()
    assert x.grad is not None and x.grad.sum() == len(loop) == 12


X = noise(2, 8, 8)
DIAGRAMS = gpuph.persistence(X)
VOLUME = noise(1, 4, 4, 4)
SLOPE = torch.arange(25.0).view(1, 5, 5)
OPEN = Diagram(*torch.tensor([[[12.0]], [[24.0]]]), *torch.tensor([[[12]], [[24]]]), torch.tensor([1]))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X, [1]), TypeError, r"diagrams must be gpuph.Diagrams or a gpuph.Diagram, got \[1\]"),
        ((X, DIAGRAMS[1]), TypeError, "dims must be the dimension of the Diagram"),
        ((X, DIAGRAMS[1], (0, 1)), ValueError, "one dimension of the Diagram"),
        ((X, DIAGRAMS, 2), ValueError, "dims must be distinct numbers from 0 to 1"),
        ((X, gpuph.persistence(X, 0)[0], 1), ValueError, "pairs of x"),
        ((X, gpuph.persistence(X, 0), 1), KeyError, "dimension 1 was not computed"),
        ((X[:1], DIAGRAMS), ValueError, "as many windows as x, 1, got 2"),
        ((-X, DIAGRAMS), ValueError, "pairs of x, computed with the same construction"),
        ((X, DIAGRAMS, None, "V"), ValueError, "pairs of x, computed with the same construction"),
        ((SLOPE, OPEN, 1), ValueError, r"the pixels \[12, 24\] are none in dimension 1 of window 0"),
        ((X[:, :4], DIAGRAMS), ValueError, "in dimension 0 of window 0"),
        ((VOLUME, gpuph.persistence(VOLUME)), ValueError, r"dims must be of \(0, 2\) for volumes, got 1"),
        ((X, Diagram.from_list([torch.rand(1, 2)] * 2), 1), ValueError, "from_list"),
    ],
)
def test_wrong_arguments_raise(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        representatives(*arguments)


def test_wrong_indices_of_representatives_raise() -> None:
    found = representatives(X, DIAGRAMS)[1]
    for index, error in ((0, TypeError), ((0.5, 0), ValueError), ((2, 0), IndexError), ((0, 10**6), IndexError)):
        with pytest.raises(error):
            found[index]  # type: ignore[index]


def test_operator_passes_opcheck() -> None:
    checks = ("test_schema", "test_faketensor")
    for x, dim in ((X, 0), (X, 1), (VOLUME, 2)):
        diagram = gpuph.persistence(x)[dim]
        index = torch.stack((diagram.birth_index, diagram.death_index), dim=1)
        for filled in (False, True):
            arguments = (x, index, dim, True, False, filled)
            torch.library.opcheck(torch.ops.gpuph.representatives, arguments, test_utils=checks)
