"""`gpuph.persistence` of volumes equals GUDHI and the textbook on every kind of input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from torch.library import opcheck

import gpuph
from bench.train import neurons
from support import inputs, oracle
from support.comparison import assert_equals_gudhi, pairs_of, rows_sorted

INF = float("inf")
CASES = [(kind, shape) for kind in inputs.KINDS for shape in inputs.VOLUMES]
SHAPES = inputs.shapes()


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("case", CASES)
def test_points_equal_gudhi(case: tuple[str, tuple[int, ...]], construction: str) -> None:
    for seed, dtype in enumerate((np.float32, np.float64)):
        assert_equals_gudhi(inputs.image(*case, seed, dtype), construction)


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("shape", [(32, 32, 32), (17, 40, 23), (64, 9, 31)])
@pytest.mark.parametrize("kind", ["noise", "smooth", "integers", "infinities"])
def test_larger_volumes_equal_gudhi(kind: str, shape: tuple[int, ...], construction: str) -> None:
    assert_equals_gudhi(inputs.image(kind, shape), construction)


@pytest.mark.slow
@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_real_neurites_equal_gudhi(noise: float, construction: str) -> None:
    window = neurons.windows(1, 48)[0].numpy()
    noisy = window + noise * np.random.default_rng(0).standard_normal(window.shape)
    assert_equals_gudhi(noisy.astype(np.float32), construction)


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("name", SHAPES)
def test_solids_have_their_betti_numbers(name: str, construction: str) -> None:
    solid, betti = SHAPES[name]
    diagrams = gpuph.persistence(torch.from_numpy(1.0 - solid)[None], construction=construction)
    assert tuple(int(diagrams[dim].count) for dim in range(3)) == betti
    inside, outside = ndimage.distance_transform_edt(solid), ndimage.distance_transform_edt(~solid)
    assert_equals_gudhi((outside - inside).astype(np.float32), construction)


@pytest.mark.parametrize("construction", ["T", "V"])
def test_real_neurites_have_their_betti_numbers(construction: str) -> None:
    mask = neurons.neurites()[:, 60:160, 40:140].numpy()
    top = construction == "T"
    touching, apart = np.ones((3, 3, 3)), None  # 26 and 6 neighbours
    parts = ndimage.label(mask, touching if top else apart)[1]
    cavities = ndimage.label(np.pad(~mask, 1, constant_values=True), apart if top else touching)[1] - 1
    diagrams = gpuph.persistence(torch.from_numpy(np.where(mask, 0.0, 1.0))[None], construction=construction)
    counts = [int(diagrams[dim].count) for dim in range(3)]
    loops = parts + cavities - euler_characteristic(mask, top)
    assert counts == [parts, loops, cavities] and parts + loops > 5


def euler_characteristic(mask: np.ndarray, top: bool) -> int:
    """Count cells with alternating signs, where voxels are cubes with their faces (T) or vertices (V)."""
    total = 0
    for spans in np.ndindex(2, 2, 2):  # 1 for the axes along which a cell extends
        cells = np.pad(mask, 1)
        for axis, extends in enumerate(spans):
            first, second = np.delete(cells, 0, axis), np.delete(cells, -1, axis)
            if top and not extends:
                cells = first | second
            elif not top and extends:
                cells = first & second
        total += (-1) ** sum(spans) * int(cells.sum())
    return total


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("case", [case for case in CASES if np.prod(case[1]) < 100])
def test_voxels_and_order_of_pairs_equal_the_textbook(case: tuple[str, tuple[int, ...]], construction: str) -> None:
    volume = inputs.image(*case)
    diagrams = gpuph.persistence(torch.from_numpy(volume)[None], construction=construction)
    for dim in range(3):
        assert pairs_of(diagrams[dim], 0) == oracle.diagram(volume, construction, dim)


few_values = st.sampled_from([-INF, -1.0, -0.0, 0.0, 0.5, 1.0, INF])
volumes = hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4), elements=few_values)


@settings(max_examples=100, deadline=None)
@given(volume=volumes, construction=st.sampled_from("TV"))
def test_images_with_ties_and_infinities_equal_the_textbook(volume: np.ndarray, construction: str) -> None:
    diagrams = gpuph.persistence(torch.from_numpy(volume)[None], construction=construction)
    for dim in range(3):
        assert pairs_of(diagrams[dim], 0) == oracle.diagram(volume, construction, dim)


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 6), (5, 6, 7)])
def test_t_construction_is_dual_to_v_of_the_padded_negative(kind: str, shape: tuple[int, ...]) -> None:
    volume = inputs.image(kind, shape)
    t = gpuph.persistence(torch.from_numpy(volume)[None], construction="T")
    v = gpuph.persistence(torch.from_numpy(np.pad(-volume, 1, constant_values=-INF))[None], construction="V")
    for dim in range(3):
        expected, turned = t[dim].to_list()[0].numpy(), -v[2 - dim].to_list()[0].flip(1).numpy()
        if dim == 2:  # drop the component of the padding
            turned = turned[turned[:, 0] != -INF]
        if kind == "infinities":  # drop pairs with the padding itself, at +inf
            expected, turned = (points[np.isfinite(points).all(axis=1)] for points in (expected, turned))
        np.testing.assert_array_equal(rows_sorted(turned), rows_sorted(expected))


@pytest.mark.parametrize("construction", ["T", "V"])
def test_diagram_is_invariant_under_grid_symmetries(construction: str) -> None:
    x = torch.from_numpy(inputs.image("integers", (7, 7, 7)))
    turned = torch.stack([x, x.flip(0), x.flip(2), x.permute(2, 0, 1), x.transpose(0, 2), x.rot90(1, (0, 1))])
    for diagram in gpuph.persistence(turned, construction=construction).values():
        points = [rows_sorted(window.numpy()) for window in diagram.to_list()]
        assert all(np.array_equal(points[0], other) for other in points)


@pytest.mark.parametrize("construction", ["T", "V"])
def test_volume_of_one_slice_equals_the_image(construction: str) -> None:
    image = torch.from_numpy(inputs.image("noise", (21, 34)))[None]
    flat = gpuph.persistence(image, construction=construction)
    for axis in (1, 2, 3):
        thin = gpuph.persistence(image.unsqueeze(axis), construction=construction)
        assert not thin[2].count.any()
        for dim in (0, 1):
            assert torch.equal(thin[dim].birth_index, flat[dim].birth_index)
            assert torch.equal(thin[dim].death_index, flat[dim].death_index)


def test_pairs_are_sorted_by_persistence_then_birth_then_death() -> None:
    x = torch.from_numpy(inputs.image("integers", (24, 22, 23)))[None]
    for construction in "TV":
        for diagram in gpuph.persistence(x, construction=construction).values():
            keys = [
                (-float(death - birth), i, j)
                for (birth, death), (i, j) in zip(diagram.to_list()[0], pairs_of(diagram, 0), strict=True)
            ]
            assert len(keys) > 1 and keys == sorted(keys)


def test_min_persistence_and_capacity_keep_the_longest_pairs() -> None:
    x = torch.from_numpy(np.stack([inputs.image("noise", (10, 11, 12)), inputs.image("ramp", (10, 11, 12))]))
    everything, long, few = (
        gpuph.persistence(x),
        gpuph.persistence(x, min_persistence=1.0),
        gpuph.persistence(x, capacity=5),
    )
    for dim in range(3):
        points = everything[dim].to_list()[0]
        assert torch.equal(long[dim].to_list()[0], points[points[:, 1] - points[:, 0] > 1.0])
        assert 0 < int(long[dim].count[0]) < int(everything[dim].count[0])
        assert torch.equal(few[dim].birth_index, everything[dim].birth_index[:, :5])
        assert torch.equal(few[dim].count, everything[dim].count)
        assert few[dim].overflow.tolist() == [True, False]


def test_dims_are_independent_and_returned_in_the_requested_order() -> None:
    x = torch.from_numpy(inputs.image("noise", (7, 9, 8)))[None]
    for construction in "TV":
        together = gpuph.persistence(x, (2, 0, 1), construction)
        assert [*together] == [2, 0, 1]
        for dim in range(3):
            alone = gpuph.persistence(x, (dim,), construction)[dim]
            assert torch.equal(alone.birth_index, together[dim].birth_index)
            assert torch.equal(alone.death_index, together[dim].death_index)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_strides_do_not_matter(dtype: torch.dtype) -> None:
    x = torch.from_numpy(inputs.image("integers", (2, 8, 9, 7))).to(dtype)
    expected = gpuph.persistence(x.float())
    for layout in (x, x.transpose(1, 3).contiguous().transpose(1, 3), torch.stack((x, x), dim=-1)[..., 0]):
        for dim, diagram in gpuph.persistence(layout).items():
            assert diagram.birth.dtype == dtype
            assert torch.equal(diagram.birth_index, expected[dim].birth_index)
            assert torch.equal(diagram.death_index, expected[dim].death_index)


def test_empty_batch_gives_empty_diagrams() -> None:
    diagrams = gpuph.persistence(torch.zeros(0, 4, 5, 6))
    assert [*diagrams] == [0, 1, 2]
    for diagram in diagrams.values():
        assert diagram.birth.shape[0] == 0 and diagram.count.shape == (0,) and diagram.to_list() == []


def test_nan_raises_an_error_that_names_its_window() -> None:
    for shape in ((3, 4, 5, 6), (2, 52, 52, 52)):
        x = torch.zeros(shape)
        x[1, 2, 3, 4] = float("nan")
        with pytest.raises(ValueError, match="x must have no NaN, but its window 1 has one"):
            gpuph.persistence(x)


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("sign", [1, -1])
def test_serpentine_valley_equals_gudhi(sign: int, construction: str) -> None:
    """Paths down and up are far longer than any that is traced without a cache."""
    volume = np.full((13, 21, 25), 1e6, np.float32)
    step = 0
    for z in range(1, 13, 2):
        for y in range(1, 21, 2):
            for x in range(1, 24) if y % 4 == 1 else range(23, 0, -1):
                volume[z, y, x] = -(step := step + 1)
            if y < 19:
                volume[z, y + 1, 23 if y % 4 == 1 else 1] = -(step := step + 1)
    assert_equals_gudhi(sign * volume, construction)


@pytest.mark.parametrize("construction", ["T", "V"])
def test_loop_longer_than_the_preallocated_buffers_equals_gudhi(construction: str) -> None:
    y, x = np.indices((420, 420)) - 209.5
    ring = abs(np.hypot(y, x) - 195).astype(np.float32)
    assert_equals_gudhi(ring[None], construction)


def test_gradient_reaches_the_critical_voxels() -> None:
    x = torch.randn(2, 4, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def total(x: torch.Tensor) -> torch.Tensor:
        diagrams = gpuph.persistence(x)
        return diagrams[1].birth.square().sum() + (diagrams[1].death ** 3).sum() + diagrams[2].death.exp().sum()

    assert torch.autograd.gradcheck(total, (x,))


@pytest.mark.parametrize("capacity", [None, 7])
def test_operator_passes_opcheck(capacity: int | None) -> None:
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    opcheck(torch.ops.gpuph.persistence, (torch.randn(2, 5, 6, 7), [2, 0, 1], True, 0.0, capacity), test_utils=checks)


def test_windows_too_large_for_32_bit_indices_raise() -> None:
    x = torch.zeros(1, 1, 1, 1)
    with gpuph.use_kernels("triton"):
        with pytest.raises(ValueError, match=r"less than 2\^31 / 12 voxels.*\(564, 564, 564\).*use_kernels\(\"cpu\"\)"):
            gpuph.persistence(x.expand(1, 564, 564, 564))
        huge = x.expand(1, 562, 562, 562)[None]
        with pytest.raises(ValueError, match=r"border included, got \(564, 564, 564\)"):
            gpuph.LocalizedPHLoss(window=562, height=None)(huge, huge)
        with pytest.raises(ValueError, match=r"less than 2\^31 / 4 pixels.*\(23171, 23171\).*use_kernels\(\"cpu\"\)"):
            gpuph.persistence(torch.zeros(1, 1, 1).expand(1, 23_171, 23_171))


def test_invalid_dims_and_shapes_raise() -> None:
    with pytest.raises(ValueError, match=r"less than 2\^31 pixels"):
        gpuph.persistence(torch.zeros(1, 1, 1, 1).expand(1, 1300, 1300, 1300))

    with pytest.raises(ValueError, match=r"dims must be .* 0 to 2, got \[3\]"):
        gpuph.persistence(torch.zeros(1, 2, 2, 2), (3,))
    with pytest.raises(ValueError, match=r"shape \(N, H, W\), \(N, D, H, W\) or \(N, L\), got \(1, 2, 2, 2, 2\)"):
        gpuph.persistence(torch.zeros(1, 2, 2, 2, 2))
