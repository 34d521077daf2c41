"""`gpuph.persistence` of images equals GUDHI and the textbook on every kind of input."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.autograd import forward_ad
from torch.library import opcheck

import gpuph
from support import inputs, oracle
from support.comparison import assert_equals_gudhi, by_gudhi, pairs_of, rows_sorted

INF = float("inf")
CASES = [(kind, shape) for kind in inputs.KINDS for shape in inputs.SIZES]


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("case", CASES)
def test_points_equal_gudhi(case: tuple[str, tuple[int, int]], construction: str) -> None:
    for seed, dtype in enumerate((np.float32, np.float64)):
        assert_equals_gudhi(inputs.image(*case, seed, dtype), construction)


@pytest.mark.parametrize("construction", ["T", "V"])
def test_points_of_road_windows_equal_gudhi(roads: torch.Tensor, construction: str) -> None:
    diagrams = gpuph.persistence(roads, construction=construction)
    for window, image in enumerate(roads.numpy()):
        for dim, expected in enumerate(by_gudhi(image, construction)):
            np.testing.assert_array_equal(rows_sorted(diagrams[dim].to_list()[window].numpy()), expected)


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("case", [case for case in CASES if np.prod(case[1]) < 100])
def test_pixels_and_order_of_pairs_equal_the_textbook(case: tuple[str, tuple[int, int]], construction: str) -> None:
    image = inputs.image(*case)
    diagrams = gpuph.persistence(torch.from_numpy(image)[None], construction=construction)
    for dim in range(2):
        assert pairs_of(diagrams[dim], 0) == oracle.diagram(image, construction, dim)


few_values = st.sampled_from([-INF, -1.0, -0.0, 0.0, 0.5, 1.0, INF])
images = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=few_values)


@settings(max_examples=150, deadline=None)
@given(image=images, construction=st.sampled_from("TV"))
def test_images_with_ties_and_infinities_equal_the_textbook(image: np.ndarray, construction: str) -> None:
    diagrams = gpuph.persistence(torch.from_numpy(image)[None], construction=construction)
    for dim in range(2):
        assert pairs_of(diagrams[dim], 0) == oracle.diagram(image, construction, dim)


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_births_and_deaths_are_values_of_their_pixels(kind: str) -> None:
    x = torch.from_numpy(np.stack([inputs.image(kind, (12, 17), seed) for seed in range(3)]))
    for diagram in gpuph.persistence(x).values():
        flat = x.flatten(1)
        finite = diagram.death_index >= 0
        assert torch.equal(diagram.birth[diagram.mask], flat.gather(1, diagram.birth_index.clamp(0))[diagram.mask])
        assert torch.equal(diagram.death[finite], flat.gather(1, diagram.death_index.clamp(0))[finite])
        assert (diagram.death[diagram.mask & ~finite] == INF).all()
        assert torch.equal(diagram.mask, diagram.birth_index >= 0)
        assert not diagram.birth[~diagram.mask].any() and not diagram.death[~diagram.mask].any()


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 8)])
def test_t_construction_is_dual_to_v_of_the_padded_negative(kind: str, shape: tuple[int, int]) -> None:
    image = inputs.image(kind, shape)
    padded = np.pad(-image, 1, constant_values=-INF)
    t = gpuph.persistence(torch.from_numpy(image)[None], construction="T")
    v = gpuph.persistence(torch.from_numpy(padded)[None], construction="V")
    for dim in range(2):
        turned = -v[1 - dim].to_list()[0].flip(1).numpy()
        turned = turned[turned[:, 0] != -INF] if dim == 1 else turned
        expected = t[dim].to_list()[0].numpy()
        if kind == "infinities":  # drop pairs with the padding itself, at +inf
            expected = expected[np.isfinite(expected).all(axis=1)]
            turned = turned[np.isfinite(turned).all(axis=1)]
        np.testing.assert_array_equal(rows_sorted(turned), rows_sorted(expected))


@pytest.mark.parametrize("construction", ["T", "V"])
def test_diagram_is_invariant_under_grid_symmetries(construction: str) -> None:
    x = torch.from_numpy(inputs.image("integers", (9, 9)))
    turned = torch.stack([y.rot90(k) for y in (x, x.T) for k in range(4)])
    for diagram in gpuph.persistence(turned, construction=construction).values():
        points = [rows_sorted(window.numpy()) for window in diagram.to_list()]
        assert all(np.array_equal(points[0], other) for other in points)


def test_diagram_is_stable_under_noise() -> None:
    x = torch.from_numpy(inputs.image("smooth", (40, 40)))[None]
    noisy = x + 0.01 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    for before, after in zip(gpuph.persistence(x).values(), gpuph.persistence(noisy).values(), strict=True):
        a, b = (d.to_list()[0].numpy().astype(np.float64) for d in (before, after))
        assert gudhi.bottleneck_distance(a, b) <= 0.01 + 1e-6


def test_pairs_are_sorted_by_persistence_then_birth_then_death() -> None:
    x = torch.from_numpy(inputs.image("integers", (40, 30)))[None]
    for diagram in gpuph.persistence(x).values():
        keys = [
            (-float(death - birth), i, j)
            for (birth, death), (i, j) in zip(diagram.to_list()[0], pairs_of(diagram, 0), strict=True)
        ]
        assert len(keys) > 50 and keys == sorted(keys)


def test_min_persistence_keeps_longer_pairs_only() -> None:
    x = torch.from_numpy(inputs.image("integers", (20, 20)))[None]
    for dim, all_pairs in gpuph.persistence(x).items():
        kept = gpuph.persistence(x, min_persistence=2.0)[dim].to_list()[0]
        points = all_pairs.to_list()[0]
        assert torch.equal(kept, points[points[:, 1] - points[:, 0] > 2.0])
        assert 0 < len(kept) < len(points)


def test_capacity_keeps_the_longest_pairs_and_reports_overflow() -> None:
    x = torch.from_numpy(np.stack([inputs.image("noise", (24, 24)), inputs.image("ramp", (24, 24))]))
    everything, few = gpuph.persistence(x), gpuph.persistence(x, capacity=5)
    roomy = gpuph.persistence(x, capacity=500)
    for dim in range(2):
        n = int(everything[dim].count[0])
        assert everything[dim].birth.shape[1] == n > 5
        assert torch.equal(few[dim].birth_index, everything[dim].birth_index[:, :5])
        assert torch.equal(few[dim].count, everything[dim].count)
        assert few[dim].overflow.tolist() == [True, False]
        assert torch.equal(roomy[dim].death_index[:, :n], everything[dim].death_index)
        assert (roomy[dim].birth_index[:, n:] == -1).all() and not roomy[dim].overflow.any()


def test_dims_are_independent_and_returned_in_the_requested_order() -> None:
    x = torch.from_numpy(inputs.image("noise", (15, 18)))[None]
    for construction in "TV":
        both = gpuph.persistence(x, (1, 0), construction)
        assert [*both] == [1, 0]
        for dim in (0, 1):
            alone = gpuph.persistence(x, (dim,), construction)
            assert [*alone] == [dim] and torch.equal(alone[dim].birth_index, both[dim].birth_index)
            with pytest.raises(KeyError, match="was not computed"):
                alone[1 - dim]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_strides_do_not_matter(dtype: torch.dtype) -> None:
    x = torch.from_numpy(inputs.image("integers", (3, 20, 26))).to(dtype)
    expected = gpuph.persistence(x.float())
    layouts = (
        x,
        x.transpose(1, 2).contiguous().transpose(1, 2),
        torch.stack((x, x), dim=-1)[..., 0],
        x.flip(0).flip(0),
    )
    for layout in layouts:
        for dim, diagram in gpuph.persistence(layout).items():
            assert diagram.birth.dtype == dtype
            assert torch.equal(diagram.birth_index, expected[dim].birth_index)
            assert torch.equal(diagram.death_index, expected[dim].death_index)


def test_empty_batch_gives_empty_diagrams() -> None:
    for diagram in gpuph.persistence(torch.zeros(0, 8, 8)).values():
        assert diagram.birth.shape[0] == 0 and diagram.count.shape == (0,) and diagram.to_list() == []


def test_large_window_equals_gudhi() -> None:
    assert_equals_gudhi(inputs.image("noise", (300, 257)), "T")


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("shape", [(151, 151), (40, 400)])
def test_serpentine_valley_equals_gudhi(shape: tuple[int, int], construction: str) -> None:
    """One descent visits every pixel of a valley that falls all along a serpentine."""
    image = np.full(shape, 1e6, np.float32)
    path = [(y, x) for y in range(0, shape[0], 2) for x in (range(shape[1]) if y % 4 == 0 else range(shape[1])[::-1])]
    links = [(y, shape[1] - 1 if y % 4 == 1 else 0) for y in range(1, shape[0] - 1, 2)]
    for step, pixel in enumerate(path):
        image[pixel] = -step
    for y, x in links:
        image[y, x] = (image[y - 1, x] + image[y + 1, x]) / 2
    for sign in (1, -1):
        assert_equals_gudhi(sign * image, construction)


def test_gradient_reaches_the_critical_pixels() -> None:
    x = torch.randn(2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def total(x: torch.Tensor) -> torch.Tensor:
        diagrams = gpuph.persistence(x)
        return diagrams[1].birth.square().sum() + (diagrams[1].death ** 3).sum() + diagrams[0].birth.exp().sum()

    assert torch.autograd.gradcheck(total, (x,))
    assert torch.autograd.gradgradcheck(total, (x,))


@pytest.mark.parametrize("capacity", [None, 7])
def test_operators_pass_opcheck(capacity: int | None) -> None:
    x = torch.randn(3, 8, 9)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    opcheck(torch.ops.gpuph.persistence, (x, [1, 0], True, 0.0, capacity), test_utils=checks)
    index = torch.tensor([[0, 2, -1], [1, 1, 3]])
    for dtype in (torch.float32, torch.float64):
        values = torch.randn(2, 4, dtype=dtype, requires_grad=True)
        opcheck(torch.ops.gpuph.gather, (values, index))
        opcheck(torch.ops.gpuph.attach, (values[:, :3].detach(), values.detach(), index))
        opcheck(torch.ops.gpuph.scatter, (values[:, :3].detach().requires_grad_(), index, 5))
        slopes, count = values.detach().view(2, 2, 2), torch.tensor([2, 1])
        of_windows = slopes, index[:, :2, None].expand(2, 2, 2), count, slopes[:, 0, 0]
        opcheck(torch.ops.gpuph.scatter_slopes, (*of_windows, [1, 5], [1, 4], [1, 1]))


def test_torch_compile_has_no_graph_break() -> None:
    x = torch.randn(2, 16, 16)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def longest(x: torch.Tensor) -> torch.Tensor:
        loops = gpuph.persistence(x, dims=(1,))[1]
        return (loops.death - loops.birth)[:, :3]

    loops = gpuph.persistence(x, dims=(1,))[1]
    assert torch.equal(longest(x), (loops.death - loops.birth)[:, :3])


def test_torch_compile_does_not_trace_into_operators() -> None:
    traced: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> object:
        traced.append(graph)
        return graph.forward

    @torch.compiler.disable(recursive=False)
    def births(x: torch.Tensor) -> torch.Tensor:
        return torch.ops.gpuph.persistence(x, [1], True, 0.0, 3)[2][0][:, 0]

    x = torch.randn(2, 16, 16)
    found = torch.compile(lambda x: births(x) + 1, backend=backend)(x)
    assert torch.equal(found, gpuph.persistence(x, capacity=3)[1].birth + 1)
    assert [node.name for node in traced[0].graph.nodes if node.op == "call_function"] == ["add"] and len(traced) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros((1, 4, 4), complex),), TypeError, "x must hold numbers .* got an array of complex128"),
        ((torch.zeros(1, 4, 4, dtype=torch.complex64),), TypeError, "got torch.complex64"),
        ((torch.zeros(4),), ValueError, r"x must have the shape \(N, H, W\), \(N, D, H, W\) or \(N, L\), got \(4,\)"),
        ((torch.zeros(2, 0, 4),), ValueError, "at least one pixel"),
        ((torch.tensor([[[0.0]], [[float("nan")]]]),), ValueError, "x must have no NaN, but its window 1 has one"),
        ((torch.zeros(1, 4, 4), (2,)), ValueError, r"dims must be .* 0 to 1, got \[2\]"),
        ((torch.zeros(1, 4, 4), (0, 0)), ValueError, "dims must be distinct"),
        ((torch.zeros(1, 4, 4), ()), ValueError, "dims"),
        ((torch.zeros(1, 4, 4), 1.0), TypeError, "dims must be a sequence of ints, got 1.0"),
        ((torch.zeros(1, 4, 4), 2), ValueError, r"dims must be .* 0 to 1, got \[2\]"),
        ((torch.zeros(1, 4, 4), None, "X"), ValueError, 'construction must be "T" or "V", got \'X\''),
        (
            (torch.zeros(1, 4, 4), None, "T", -1.0),
            ValueError,
            "min_persistence must be a number of 0 or more, got -1.0",
        ),
        ((torch.zeros(1, 4, 4), None, "T", float("nan")), ValueError, "min_persistence"),
        ((torch.zeros(1, 4, 4), None, "T", 0.0, 0), ValueError, "capacity must be an int of 1 or more, got 0"),
    ],
)
def test_invalid_input_raises_an_error_that_names_it(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gpuph.persistence(*arguments)  # type: ignore[arg-type]


def test_forward_mode_differentiation_raises() -> None:
    x = torch.rand(1, 4, 4)
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="forward mode"):
        gpuph.persistence(forward_ad.make_dual(x, x))


def test_nan_of_either_sign_raises() -> None:
    for bits in (0x7FC00000, 0xFFC00000, 0x7F800001):
        x = torch.zeros(1, 3, 3)
        x.numpy().view(np.uint32)[0, 1, 1] = bits
        with pytest.raises(ValueError, match="NaN"):
            gpuph.persistence(x)
