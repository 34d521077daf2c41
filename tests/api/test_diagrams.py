"""Diagrams as sequences, on devices, in files, in a DataLoader and in GUDHI's form."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any
from unittest import mock

import gudhi
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

import gpuph
from gpuph import Diagram, Diagrams, SuperlevelDiagram

FIELDS = ("birth", "death", "birth_index", "death_index", "count")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def images(n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 9, 10, generator=torch.Generator().manual_seed(seed))


def assert_equal(found: Diagram, expected: Diagram) -> None:
    assert type(found) is type(expected)
    for field in FIELDS:
        one, other = getattr(found, field), getattr(expected, field)
        assert one.dtype == other.dtype and torch.equal(one, other), field


def assert_all_equal(found: Diagrams, expected: Diagrams) -> None:
    assert [*found] == [*expected] and found.capacity == expected.capacity
    assert torch.equal(found.status, expected.status)
    for dim in expected:
        assert_equal(found[dim], expected[dim])


# Sequences.


def test_a_diagram_is_a_sequence_of_diagrams_of_one_window() -> None:
    diagram = gpuph.persistence(images())[1]
    assert len(diagram) == 4
    for i, one in enumerate(diagram):
        for index in (i, i - 4, np.int64(i), torch.tensor(i)):
            assert_equal(one, diagram[index])
        assert_equal(one, diagram[i : i + 1])
    assert len([*diagram]) == 4
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"window {index} is out of range of a diagram of 4 windows"):
            diagram[index]


def test_cat_joins_windows_and_undoes_indexing() -> None:
    diagram = gpuph.persistence(images())[1]
    assert_equal(Diagram.cat([*diagram]), diagram)
    narrow = [gpuph.persistence(x, batched=False)[1] for x in images()]
    assert len({part.birth.shape[1] for part in narrow}) > 1
    assert_equal(Diagram.cat(narrow), diagram)
    empty = diagram[:0]
    assert_equal(Diagram.cat([empty, diagram, empty]), diagram)


def test_cat_keeps_the_kind_of_superlevel_diagrams_and_refuses_a_mixture() -> None:
    sub, sup = (gpuph.persistence(images(), 0, superlevel=on)[0] for on in (False, True))
    assert type(Diagram.cat([sup, sup])) is SuperlevelDiagram
    with pytest.raises(TypeError, match="diagrams must be of one kind, got Diagram and SuperlevelDiagram"):
        Diagram.cat([sub, sup])
    with pytest.raises(TypeError, match=r"diagrams must be of one dtype, got torch\.float32 and torch\.float64"):
        Diagram.cat([sub, sub.to(torch.float64)])
    with pytest.raises(ValueError, match="diagrams must be on one device, got cpu and meta"):
        Diagram.cat([sub, sub.to("meta")])


def test_padding_of_cat_never_becomes_points() -> None:
    few, many = (gpuph.persistence(images(), capacity=k)[1] for k in (2, 30))
    with pytest.warns(RuntimeWarning, match="only the 2 longest"):
        both = Diagram.cat([few, many])
    assert both.birth.shape == (8, 30) and both.count[:4].tolist() == [2] * 4
    assert torch.equal(both.count[4:], many.count)
    same = Diagram.cat([few, few])
    assert same.overflow.all() and torch.equal(same.count, few.count.repeat(2))


def test_gradients_flow_through_cat_indexing_and_finite() -> None:
    x = images().requires_grad_()
    parts = [gpuph.persistence(y, batched=False)[0] for y in x]
    Diagram.cat(parts)[1:3].finite().death.sum().backward()
    assert x.grad is not None
    assert [bool(grad.any()) for grad in x.grad] == [False, True, True, False]


def test_finite_drops_infinite_points_and_keeps_the_order_of_the_others() -> None:
    inf = torch.inf
    points = [[[0.0, 3.0], [0.0, inf], [1.0, 2.0]], [[-inf, inf]], [[-inf, 0.0], [5.0, 6.0]], []]
    diagram = Diagram.from_list([torch.tensor(window).reshape(-1, 2) for window in points])
    index = torch.arange(12).reshape(4, 3)
    diagram = Diagram(diagram.birth, diagram.death, index, index + 100, diagram.count)
    found = diagram.finite()
    assert [window.tolist() for window in found.to_list()] == [[[0.0, 3.0], [1.0, 2.0]], [], [[5.0, 6.0]], []]
    assert found.birth_index.tolist() == [[0, 2, -1], [-1] * 3, [7, -1, -1], [-1] * 3]
    assert found.death_index.tolist() == [[100, 102, -1], [-1] * 3, [107, -1, -1], [-1] * 3]
    padding = torch.stack((found.birth, found.death))[:, ~found.mask]
    assert not padding.any()


def test_finite_of_all_dimensions_leaves_the_essential_class_out() -> None:
    diagrams = gpuph.persistence(images())
    found = diagrams.finite()
    assert torch.equal(found[0].count, diagrams[0].count - 1)
    assert_equal(found[1], diagrams[1])


def test_select_takes_windows_of_all_dimensions() -> None:
    diagrams = gpuph.persistence(images())
    for index in (2, slice(1, 3), [3, 0], torch.tensor([True, False, True, False])):
        found = diagrams.select(index)
        for dim in diagrams:
            assert_equal(found[dim], diagrams[dim][index])
        assert len(found.status) == len(found[0])
    assert_all_equal(Diagrams.cat([diagrams.select(i) for i in range(4)]), diagrams)


# Devices and dtypes.


def test_diagrams_move_between_devices() -> None:
    diagrams = gpuph.persistence(images())
    for target in ("meta", torch.device("meta")):
        there = diagrams.to(target, non_blocking=True)
        assert {part.device.type for dim in there for part in vars(there[dim]).values()} == {"meta"}
        assert there.status.device.type == "meta"
    assert_all_equal(diagrams.to("cpu").cpu(), diagrams)


def test_to_a_dtype_converts_births_and_deaths_alone() -> None:
    diagrams = gpuph.persistence(images()).to(torch.float64)
    for dim, diagram in diagrams.items():
        assert diagram.birth.dtype == diagram.death.dtype == torch.float64
        assert torch.equal(diagram.birth_index, gpuph.persistence(images())[dim].birth_index)
    for target, message in ((torch.int64, "torch.int64"), ("nowhere", "'nowhere'")):
        with pytest.raises((TypeError, ValueError), match=f"target must be a device or .* got {message}"):
            diagrams.to(target)


def test_detach_cuts_gradients_off() -> None:
    diagrams = gpuph.persistence(images().requires_grad_())
    assert diagrams[1].birth.requires_grad and not diagrams.detach()[1].birth.requires_grad


def test_pin_memory_pins_every_tensor() -> None:
    diagrams = gpuph.persistence(images())
    with mock.patch.object(torch.Tensor, "pin_memory", lambda x: x + 0) as _:
        assert_all_equal(torch.utils.data._utils.pin_memory.pin_memory(diagrams), diagrams)
    calls: list[torch.Tensor] = []
    with mock.patch.object(torch.Tensor, "pin_memory", lambda x: calls.append(x) or x):
        diagrams.pin_memory()
    assert len(calls) == 2 * len(FIELDS) + 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_gives_arrays_of_the_same_values(dtype: torch.dtype) -> None:
    diagrams = gpuph.persistence(images().to(dtype).requires_grad_())
    for dim, arrays in diagrams.numpy().items():
        for field in FIELDS:
            array, tensor = getattr(arrays, field), getattr(diagrams[dim], field)
            assert isinstance(array, np.ndarray)
            np.testing.assert_array_equal(array, tensor.detach().double().numpy())
        assert arrays.birth.dtype.name == ("float32" if dtype == torch.bfloat16 else str(dtype).removeprefix("torch."))


# Files.


@pytest.mark.parametrize("superlevel", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_saved_diagrams_are_loaded_unchanged(tmp_path: Path, dtype: torch.dtype, superlevel: bool) -> None:
    diagrams = gpuph.persistence(images().to(dtype), superlevel=superlevel)
    for file in (tmp_path / "all", str(tmp_path / "all.npz")):
        diagrams.save(file)
        assert_all_equal(Diagrams.load(file), diagrams)
        diagrams[1].save(file)
        assert_equal(Diagram.load(file), diagrams[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "all.npz"]
    stream = io.BytesIO()
    diagrams.save(stream)
    stream.seek(0)
    assert_all_equal(Diagrams.load(stream), diagrams)


def test_empty_diagrams_are_saved_and_loaded(tmp_path: Path) -> None:
    for diagram in (Diagram.from_list([]), Diagram.from_list([torch.zeros(0, 2)] * 3)):
        diagram.save(tmp_path / "d.npz")
        assert_equal(Diagram.load(tmp_path / "d.npz"), diagram)


def test_files_need_no_pickle_and_are_plain_arrays(tmp_path: Path) -> None:
    diagrams = gpuph.persistence(images())
    diagrams.save(tmp_path / "d.npz")
    with np.load(tmp_path / "d.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["1.birth"], diagrams[1].birth.numpy())
        assert archive["dims"].tolist() == [0, 1]


def test_other_files_raise_and_are_named(tmp_path: Path) -> None:
    one = tmp_path / "one.npz"
    gpuph.persistence(images())[1].save(one)
    whole = one.read_bytes()
    other = tmp_path / "other.npz"
    contents = [b"", b"not an archive", whole[: len(whole) // 2], pickle.dumps([1]), whole.replace(b"count", b"kount")]
    for content in contents:
        other.write_bytes(content)
        with pytest.raises(ValueError, match=r"file must be one that `save` wrote, got .*other\.npz"):
            Diagram.load(other)
    np.savez(other, birth=np.array([object()], dtype=object))
    for kind, path in ((Diagram, other), (Diagrams, one)):
        with pytest.raises(ValueError, match="file must be one that `save` wrote"):
            kind.load(path)
    with pytest.raises(FileNotFoundError):
        Diagram.load(tmp_path / "missing.npz")


def test_torch_load_takes_diagrams_without_pickle_of_other_classes(tmp_path: Path) -> None:
    diagrams = gpuph.persistence(images(), superlevel=True)
    for value in (diagrams, diagrams[1], gpuph.persistence(images())[0]):
        torch.save({"found": value}, tmp_path / "d.pt")
        found = torch.load(tmp_path / "d.pt", weights_only=True)["found"]
        (assert_all_equal if isinstance(value, Diagrams) else assert_equal)(found, value)
    matching = gpuph.match(diagrams[1], diagrams[1])
    torch.save(matching, tmp_path / "m.pt")
    assert torch.equal(torch.load(tmp_path / "m.pt", weights_only=True).partner_a, matching.partner_a)


# Batches of a DataLoader.


class Samples(Dataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> dict[str, Any]:
        image = images(6)[i]
        return {"image": image, "diagrams": gpuph.persistence(image, batched=False), "number": i}


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_data_loader_joins_the_diagrams_of_samples(workers: int) -> None:
    batches = [*DataLoader(Samples(), batch_size=4, num_workers=workers, timeout=300 if workers else 0)]
    assert [len(batch["image"]) for batch in batches] == [4, 2]
    for batch in batches:
        expected = gpuph.persistence(batch["image"])
        for dim in expected:
            assert_equal(batch["diagrams"][dim], expected[dim])


def test_default_collate_joins_nested_and_superlevel_diagrams() -> None:
    diagrams = [gpuph.persistence(x, batched=False, superlevel=True) for x in images()]
    whole = gpuph.persistence(images(), superlevel=True)
    found = default_collate([(one, {"loops": one[1]}) for one in diagrams])
    assert_all_equal(found[0], whole)
    assert_equal(found[1]["loops"], whole[1])


def test_diagrams_of_other_dimensions_do_not_join() -> None:
    with pytest.raises(ValueError, match=r"same dimensions, got \[\(0,\), \(1,\)\]"):
        Diagrams.cat([gpuph.persistence(images(), dim) for dim in (0, 1)])


# GUDHI.


def test_to_gudhi_gives_what_gudhi_computes() -> None:
    x = images().double()
    for window, found in zip(x, gpuph.persistence(x).to_gudhi(), strict=True):
        expected = gudhi.CubicalComplex(top_dimensional_cells=window.numpy()).persistence(min_persistence=0)
        assert sorted(found) == sorted(expected)
        assert [dim for dim, _ in found] == sorted((dim for dim, _ in found), reverse=True)


def test_gudhi_takes_the_points_of_each_window() -> None:
    a, b = (gpuph.persistence(images(seed=seed))[1] for seed in range(2))
    found = [gudhi.bottleneck_distance(x, y, 0.0) for x, y in zip(a.to_gudhi(), b.to_gudhi(), strict=True)]
    np.testing.assert_allclose(found, gpuph.bottleneck_distance(a, b), rtol=1e-6)
    assert all(points.dtype == np.float64 and points.shape[1] == 2 for points in a.to_gudhi())
