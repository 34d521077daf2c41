"""`gpuph.persistence` reads arrays of any library, dtype and layout, and windows of one to three axes."""

from __future__ import annotations

import warnings
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import gpuph
from gpuph import Diagrams, hints
from support import inputs

X = torch.from_numpy(np.stack([inputs.image("integers", (9, 7), seed) for seed in range(3)]))
FIELDS = ("birth", "death", "birth_index", "death_index", "count")


def assert_same(found: Diagrams, expected: Diagrams) -> None:
    assert [*found] == [*expected]
    for dim in expected:
        for field in FIELDS:
            assert torch.equal(getattr(found[dim], field), getattr(expected[dim], field)), (dim, field)


class OnlyDLPack:
    """An array of a library that PyTorch does not know, like those of JAX."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x

    def __dlpack__(self, **settings: Any) -> Any:
        return self.x.__dlpack__(**settings)

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()


class OnlyArray:
    """An object that only NumPy can read, like a DataFrame."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return X.numpy()


class WithoutExport(OnlyArray):
    """An array whose library does not export its dtype."""

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("no")

    def __dlpack_device__(self) -> Any:
        return (1, 0)


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def inside_a_record(x: np.ndarray) -> np.ndarray:
    records = np.zeros(x.shape, [("other", np.int8), ("x", x.dtype)])
    records["x"] = x
    return records["x"]


@pytest.mark.parametrize(
    "array",
    [
        X.numpy(),
        X.numpy().astype(">f4"),
        X.numpy()[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        read_only(X.numpy()),
        inside_a_record(X.numpy()),
        np.asfortranarray(X.numpy()),
        np.ma.array(X.numpy()),
        list(X.numpy()),
        list(X),
        OnlyDLPack(X),
        OnlyArray(),
        WithoutExport(),
    ],
    ids=lambda x: type(x).__name__,
)
def test_arrays_of_other_libraries_are_read(array: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(gpuph.persistence(array), gpuph.persistence(X))


def test_nested_lists_are_float64_and_equal_the_tensor() -> None:
    found = gpuph.persistence((X.double() / 3).tolist())
    assert found[0].birth.dtype == torch.float64
    assert_same(found, gpuph.persistence(X.double() / 3))


def test_cuda_array_interface_is_read_by_pytorch() -> None:
    class OnGPU:
        __cuda_array_interface__ = None

    with mock.patch("torch.as_tensor", return_value=X) as read:
        array = OnGPU()
        assert_same(gpuph.persistence(array), gpuph.persistence(X))
    read.assert_called_once_with(array)


def test_results_share_their_memory_through_dlpack() -> None:
    """As with CuPy, which asks for the device and then for a capsule of the exporter's stream."""
    diagrams = gpuph.persistence(X.clone().requires_grad_())
    for diagram in diagrams.values():
        for field in FIELDS:
            tensor = getattr(diagram, field).detach()
            array = np.from_dlpack(OnlyDLPack(tensor))
            assert array.shape == tensor.shape and array.__array_interface__["data"][0] == tensor.data_ptr(), field
    with pytest.raises(BufferError, match="detach"):
        diagrams[0].birth.__dlpack__()


def test_unreadable_array_of_another_library_raises_type_error_with_the_reason() -> None:
    class Broken:
        def __dlpack__(self, **_: Any) -> Any:
            raise BufferError("unknown dtype")

    with pytest.raises(TypeError, match=r"x must be an array that PyTorch can read, got .*Broken: "):
        gpuph.persistence(Broken())


def test_gradients_flow_to_a_list_of_tensors() -> None:
    rows = [x.clone().requires_grad_() for x in X]
    gpuph.persistence(rows)[1].death.sum().backward()
    assert all(row.grad is not None and row.grad.any() for row in rows)


@pytest.mark.parametrize(
    ("dtype", "promoted"),
    [
        *((dtype, torch.float32) for dtype in (torch.uint8, torch.int8, torch.int16, torch.uint16)),
        *((dtype, torch.float64) for dtype in (torch.int32, torch.uint32, torch.int64, torch.uint64)),
    ],
)
def test_extreme_integers_are_exact(dtype: torch.dtype, promoted: torch.dtype) -> None:
    least, most = max(torch.iinfo(dtype).min, -(2**53)), min(torch.iinfo(dtype).max, 2**53)
    ring = np.full((1, 3, 3), least, str(dtype).removeprefix("torch."))
    ring[0, 1, 1] = most
    for x in (ring, torch.from_numpy(ring), ring.tolist()):
        loops = gpuph.persistence(x)[1]
        assert loops.birth.dtype == (torch.float64 if isinstance(x, list) else promoted)
        assert (int(loops.birth), int(loops.death)) == (least, most)


def test_booleans_are_0_and_1_even_as_views_of_bytes() -> None:
    mask = X > 3
    odd = (7 * mask.byte()).view(torch.bool)
    for x in (mask, mask.numpy(), mask.tolist(), odd):
        found = gpuph.persistence(x)
        assert_same(found, gpuph.persistence(mask.to(found[0].birth.dtype)))
    assert gpuph.persistence(mask)[0].birth.dtype == torch.float32


BEYOND = [2**53 + 1, -(2**53) - 1, 2**53 + 2, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("value", BEYOND)
def test_integers_beyond_float64_raise_and_are_shown(value: int) -> None:
    x = torch.zeros(2, 3, 3, dtype=torch.int64)
    x[1, 1, 1] = value
    for array in (x, x.numpy(), x.tolist()):
        with pytest.raises(ValueError, match=rf"x must hold integers from -2\^53 to 2\^53.* got {value}$"):
            gpuph.persistence(array)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63, 2**64 - 1])
def test_unsigned_integers_beyond_float64_raise_and_are_shown(value: int) -> None:
    with pytest.raises(ValueError, match=rf"got {value}$"):
        gpuph.persistence(np.full((1, 2, 2), value, np.uint64))


@pytest.mark.parametrize("row", [[0.5, 2**53 + 1], [-1, 2**63 + 1]])
def test_integers_that_numpy_would_round_beside_other_numbers_raise(row: list[float]) -> None:
    with pytest.raises(ValueError, match="x must hold integers"):
        gpuph.persistence([row])
    assert gpuph.persistence([[0.5, float(row[1])]])[0].count.tolist() == [1]


def test_integers_beyond_float64_are_deferred_errors_on_other_devices() -> None:
    x = torch.zeros(2, 3, 3, dtype=torch.int64)
    x[1, 1, 1] = 2**53 + 1
    with mock.patch("gpuph.debug.is_eager_cpu", lambda x: False):
        found = gpuph.persistence(x)
        assert found.status.tolist() == [0, 1] and found[0].count.tolist() == [1, 0]
        with pytest.raises(ValueError, match="window 1"):
            found.check()


@pytest.mark.slow
def test_persistence_of_integers_compiles_without_graph_breaks() -> None:
    x = X.to(torch.int64)
    compiled = torch.compile(
        lambda x: gpuph.persistence(x, 1, capacity=9)[1].death, backend="aot_eager", fullgraph=True
    )
    assert torch.equal(compiled(x), gpuph.persistence(x, 1, capacity=9)[1].death)


# Shapes.


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 6), (3, 4, 5), (1, 2, 1), (31,), (2,), (1,)])
def test_one_window_equals_a_batch_of_one(shape: tuple[int, ...], construction: str) -> None:
    x = torch.from_numpy(inputs.image("integers", (1, *shape)[-3:], 0)).reshape(shape)
    one = gpuph.persistence(x, construction=construction, batched=False)
    assert_same(one, gpuph.persistence(x[None], construction=construction))
    assert len(one) == len(shape)


def test_one_dimension_equals_a_sequence_of_it() -> None:
    for one in (1, np.int64(1)):
        assert_same(gpuph.persistence(X, one), gpuph.persistence(X, (1,)))


def components_of(signal: list[float]) -> list[tuple[float, float]]:
    """Return the pairs of a signal by growing components from the least value; ties do not occur."""
    pairs, least = [], dict[int, float]()
    label: dict[int, int] = {}
    for i in sorted(range(len(signal)), key=lambda i: signal[i]):
        beside = {label[j] for j in (i - 1, i + 1) if j in label}
        label[i], least[i] = i, signal[i]
        for old in sorted(beside, key=lambda root: -least[root]):
            young, elder = sorted((label[i], old), key=lambda root: -least[root])
            if least[young] < signal[i]:
                pairs.append((least[young], signal[i]))
            label = {j: elder if root == young else root for j, root in label.items()}
    return [*pairs, (min(signal), float("inf"))]


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("length", [1, 2, 3, 31, 200])
def test_signals_have_the_components_of_their_sublevel_sets(length: int, construction: str) -> None:
    rng = np.random.default_rng(length)
    x = rng.permuted(np.tile(np.arange(length, dtype=float), (3, 1)), axis=1)
    found = gpuph.persistence(x, construction=construction)
    assert [*found] == [0]
    for signal, points, births, deaths in zip(
        x, found[0].to_list(), found[0].birth_index.numpy(), found[0].death_index.numpy(), strict=True
    ):
        assert sorted(map(tuple, points.tolist())) == sorted(components_of(signal.tolist()))
        n = len(points)
        assert np.array_equal(signal[births[:n]], points[:, 0])
        finite = deaths[:n] >= 0
        assert np.array_equal(signal[deaths[:n][finite]], points[finite, 1])


def test_dimension_1_of_signals_raises_and_suggests_one_image() -> None:
    for dims in (1, (0, 1)):
        with pytest.raises(ValueError, match=r"from 0 to 0, .*9 signals, for one image pass batched=False"):
            gpuph.persistence(X[0], dims)


@pytest.mark.parametrize(
    ("shape", "batched", "message"),
    [
        ((5,), True, r"\(N, L\), got \(5,\); batched=False takes one window"),
        ((), True, r"\(N, L\), got \(\)"),
        ((1, 1, 1, 1, 1), True, r"\(N, L\), got \(1, 1, 1, 1, 1\)"),
        ((1, 1, 1, 1), False, r"\(H, W\), \(D, H, W\) or \(L,\) with batched=False, got \(1, 1, 1, 1\)"),
        ((), False, r"with batched=False, got \(\)"),
        ((0, 3), False, "at least one pixel"),
    ],
)
def test_wrong_rank_raises_and_lists_the_shapes(shape: tuple[int, ...], batched: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gpuph.persistence(torch.zeros(shape), batched=batched)


@pytest.mark.parametrize(
    ("shape", "batched", "advice"),
    [((64, 32), True, "pass batched=False"), ((3, 16, 16), False, "leave out batched=False")],
)
def test_probable_mistakes_about_the_batch_warn_once(shape: tuple[int, ...], batched: bool, advice: str) -> None:
    hints._given.clear()
    with pytest.warns(UserWarning, match=advice) as given:
        for _ in range(2):
            gpuph.persistence(torch.rand(shape), batched=batched)
    hints._given.clear()
    assert len(given) == 1 and given[0].filename == __file__


def test_signals_of_other_shapes_do_not_warn() -> None:
    hints._given.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in ((15, 15), (8, 1000), (16, 65), (65, 16), (0, 30)):
            gpuph.persistence(torch.rand(shape))
        gpuph.persistence(torch.rand(20, 20), batched=False)


# Superlevel sets.


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("shape", [(2, 9, 8), (2, 4, 5, 3), (2, 9)])
def test_superlevel_diagrams_are_the_negated_ones_of_the_negative(
    shape: tuple[int, ...], construction: str, dtype: torch.dtype
) -> None:
    x = torch.randint(0, 9, shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = gpuph.persistence(x, construction=construction, superlevel=True, min_persistence=1.0)
    other = gpuph.persistence(-x.double(), construction=construction, min_persistence=1.0)
    for dim, diagram in found.items():
        assert isinstance(diagram, gpuph.SuperlevelDiagram)
        assert torch.equal(diagram.birth.double(), -other[dim].birth)
        assert torch.equal(diagram.death.double(), -other[dim].death)
        for field in FIELDS[2:]:
            assert torch.equal(getattr(diagram, field), getattr(other[dim], field))
        read = x.flatten(1).double().gather(1, diagram.birth_index.clamp(0))
        assert torch.equal(diagram.birth[diagram.mask].double(), read[diagram.mask])
        assert (diagram.birth >= diagram.death).all()
        padding = torch.stack((diagram.birth, diagram.death))[:, ~diagram.mask]
        assert not padding.signbit().any()
    assert (found[0].death == -torch.inf).sum(1).tolist() == [1, 1]


def test_gradient_of_superlevel_births_is_at_their_pixels() -> None:
    x = torch.rand(2, 7, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def total(x: torch.Tensor) -> torch.Tensor:
        diagrams = gpuph.persistence(x, superlevel=True)
        return diagrams[0].birth.exp().sum() + (diagrams[1].death ** 2).sum()

    assert torch.autograd.gradcheck(total, (x,))


def test_superlevel_diagrams_match_like_the_negated_ones_and_refuse_others() -> None:
    x = torch.rand(4, 9, 9, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for dim in range(2):
        a, b = (gpuph.persistence(y, superlevel=True)[dim] for y in (x, x.flip(0)))
        c, d = (gpuph.persistence(-y)[dim] for y in (x, x.flip(0)))
        found, expected = gpuph.match(a, b), gpuph.match(c, d)
        assert found.cost.isfinite().all() and torch.equal(found.cost, expected.cost)
        assert torch.equal(found.partner_a, expected.partner_a)
        (one,), (other,) = (torch.autograd.grad(cost.sum(), x) for cost in (found.cost, expected.cost))
        assert torch.equal(one, other) and one.any()
        with pytest.raises(TypeError, match="b must be a SuperlevelDiagram, as a is, got Diagram"):
            gpuph.wasserstein_distance(a, c)
