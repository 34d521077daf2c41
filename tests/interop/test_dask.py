"""Arrays in chunks have the results of the whole array at once."""

from __future__ import annotations

from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import torch

import gpuph
from gpuph import metrics
from gpuph.interop import dask as large
from gpuph.windows import cut_windows, tile

LONGEST = 300.0  # seconds that each step of a cluster may take

# Shapes, chunks, windows and strides. Windows cross chunks, are larger than chunks, or are shifted inwards.
CASES = [
    ((70, 93), (32, 40), (16, 16), (16, 16)),
    ((70, 93), (10, 7), (16, 24), (16, 11)),
    ((40, 33), (40, 33), (64, 16), (64, 5)),
    ((65, 65), (16, 64), (9, 9), (13, 4)),
    ((17, 23, 30), (8, 8, 16), (8, 9, 10), (8, 9, 7)),
]


@pytest.fixture(autouse=True)
def threads():
    with dask.config.set(scheduler="threads", num_workers=2):
        yield


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize(("shape", "chunks", "window", "stride"), CASES)
def test_diagrams_are_those_of_the_windows_of_the_whole(shape, chunks, window, stride) -> None:
    x = noise(shape)
    found = large.persistence(da.from_array(x, chunks=chunks), window, stride, capacity=500)
    expected = gpuph.persistence(cut_windows(torch.from_numpy(x)[None], window, stride), capacity=500)
    counts = tile(shape, window, stride).counts()
    assert set(found) == set(expected)
    for dim, parts in found.items():
        for ours, theirs in zip(dask.compute(*parts), expected[dim].numpy(), strict=True):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs.reshape(*counts, *theirs.shape[1:]))


def test_settings_and_dtypes_of_diagrams_are_those_of_persistence() -> None:
    x = (noise((30, 40)) * 9).astype(np.uint8)
    settings = {"dims": (1,), "construction": "V", "min_persistence": 1.0, "superlevel": True}
    found = large.persistence(da.from_array(x, chunks=16), 10, capacity=20, **settings)
    expected = gpuph.persistence(cut_windows(torch.from_numpy(x)[None], (10, 10), (10, 10)), capacity=20, **settings)
    assert [*found] == [1]
    assert np.array_equal(found[1].death.compute().reshape(12, 20), expected[1].death.numpy())
    assert found[1].death.dtype == np.float32


@pytest.mark.parametrize(("shape", "chunks", "window", "stride"), CASES)
@pytest.mark.parametrize("with_mask", [False, True])
def test_loss_map_is_that_of_the_whole(shape, chunks, window, stride, with_mask) -> None:
    pred, target, mask = noise(shape), noise(shape, 1), noise(shape, 2) > 0.2
    loss = gpuph.DistancePHLoss(window=window, stride=stride, reduction="none")
    inputs = (pred, target, mask) if with_mask else (pred, target)
    found = large.loss_map(loss, *(da.from_array(x, chunks=chunks) for x in inputs))
    expected = loss(*(torch.from_numpy(x)[None, None] for x in inputs))
    assert found.dtype == np.float32
    assert np.array_equal(found.compute().ravel(), expected[0].numpy())


@pytest.mark.parametrize(("shape", "chunks"), [((70, 93), (32, 40)), ((70, 93), (5, 64)), ((20, 24, 30), (8, 16, 30))])
@pytest.mark.parametrize("name", ["betti_error", "betti_matching_error"])
@pytest.mark.parametrize("settings", [{}, {"dim": 0, "border": False, "construction": "V", "patches": 7, "trials": 3}])
def test_errors_are_those_of_the_whole_with_the_same_generator(shape, chunks, name, settings) -> None:
    pred, target, mask = (noise(shape, seed) > 0.6 for seed in range(3))
    settings = {"window": 16, "trials": 2, **settings}
    for inside in (None, mask):
        expected = getattr(metrics, name)(
            pred, target, mask=inside, generator=torch.Generator().manual_seed(5), **settings
        )
        parts = {"mask": da.from_array(inside, chunks=17)} if inside is not None else {}
        found = getattr(large, name)(
            *(da.from_array(x, chunks=chunks) for x in (pred, target)),
            **parts,
            generator=torch.Generator().manual_seed(5),
            **settings,
        )
        assert found.compute() == pytest.approx(expected.item(), rel=1e-6)


def test_error_counts_as_many_windows_at_once_as_memory_allows(monkeypatch) -> None:
    pred, target = (noise((60, 60), seed) > 0.6 for seed in range(2))
    error = large.betti_error(pred, target, window=16, generator=torch.Generator().manual_seed(1))
    expected = error.compute()
    monkeypatch.setattr("gpuph.interop.random_windows.AT_ONCE", 700)
    assert error.compute() == expected > 0


@pytest.mark.parametrize(("shape", "chunks"), [((70, 93), (32, 40)), ((70, 93), (10, 7)), ((17, 23, 30), (8, 8, 16))])
@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_distance_maps_are_those_of_the_whole_to_the_bit(shape, chunks, spacing) -> None:
    mask = noise(shape) > 0.995
    each = (spacing, *[1.0] * (len(shape) - 1))
    found = large.truncated_distance_map(da.from_array(mask, chunks=chunks), 9.5, spacing=each).compute()
    expected = gpuph.truncated_distance_map(torch.from_numpy(mask)[None, None], 9.5, spacing=each)
    assert np.array_equal(found, expected[0, 0].numpy())


def test_zarr_arrays_are_read_and_written_chunk_by_chunk(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    x = noise((64, 96))
    stored = zarr.open_array(tmp_path / "x.zarr", mode="w", shape=x.shape, dtype=x.dtype, chunks=(32, 32))
    stored[...] = x
    loops = large.persistence(stored, 16, capacity=80, dims=(1,))[1]
    loops.birth.rechunk((2, 2, 80)).to_zarr(tmp_path / "birth.zarr")
    expected = gpuph.persistence(cut_windows(torch.from_numpy(x)[None], (16, 16), (16, 16)), capacity=80)[1].birth
    written = np.asarray(zarr.open_array(tmp_path / "birth.zarr", mode="r"))
    assert np.array_equal(written.reshape(24, 80), expected.numpy())


def test_nothing_is_read_before_it_is_computed_and_then_only_what_is_needed() -> None:
    read = []

    def chunk(block_info):
        read.append(block_info[None]["chunk-location"])
        return np.zeros((32, 32), np.float32)

    x = da.map_blocks(chunk, chunks=((32,) * 4, (32,) * 4), dtype=np.float32, meta=np.zeros((0, 0), np.float32))
    found = large.persistence(x, 16, capacity=10)[0].count
    assert not read
    assert found[0, 0].compute() == 1
    assert set(read) == {(0, 0)}


def test_wrong_arguments_raise_and_are_named() -> None:
    x, mask = noise((20, 20)), noise((20, 20)) > 0.5
    for call, kind, message in (
        (lambda: large.persistence(x[0], 8, capacity=5), ValueError, r"x must have the shape \(H, W\) or \(D, H, W\)"),
        (lambda: large.persistence(x, 8, capacity=0), ValueError, "capacity must be an int of 1 or more, got 0"),
        (lambda: large.persistence(x, (8, 8, 8), capacity=5), ValueError, "window must have one size for each of 2"),
        (lambda: large.persistence(x, 8, capacity=5, dims=7), ValueError, "dims must be distinct numbers"),
        (lambda: large.persistence(x, 8, capacity=5, batched=False), TypeError, "batched must not be given"),
        (lambda: large.loss_map(torch.nn.MSELoss(), x, x), TypeError, r"loss must be a WindowLoss, got MSELoss"),
        (lambda: large.loss_map(gpuph.TopoLoss(), x, mask[:5]), ValueError, r"target must have the shape of pred"),
        (lambda: large.betti_error(mask, mask, dim=2), ValueError, "dim must be an int of at most 1, got 2"),
        (lambda: large.betti_error(mask, mask, sides=2), TypeError, r"settings must be among .* got \['sides'\]"),
        (lambda: large.betti_error(mask, mask, mask=x), TypeError, "mask must hold booleans"),
        (lambda: large.truncated_distance_map(x, 5.0), TypeError, "mask must hold booleans, got float32"),
        (lambda: large.truncated_distance_map(mask, -1), ValueError, "truncation must be a positive number, got -1"),
    ):
        with pytest.raises(kind, match=message):
            call()
    unknown = da.from_array(x, chunks=10)[da.from_array(x[:, 0] > 0.5, chunks=10)]
    with pytest.raises(ValueError, match="x must have chunks of known sizes"):
        large.persistence(unknown, 8, capacity=5)
    with pytest.raises(ValueError, match="NaN"):
        large.persistence(x * np.nan, 8, capacity=5)[0].count.compute()


@pytest.mark.slow
def test_processes_of_a_cluster_have_the_results_of_this_one(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    x, target = noise((96, 128)), noise((96, 128), 1) > 0.7
    blocks = [da.from_array(each, chunks=(32, 64)) for each in (x, target)]
    loops = large.persistence(blocks[0], 16, capacity=80, dims=(1,))[1]
    arrays = [
        loops.birth,
        large.loss_map(gpuph.TopoLoss(window=16), *blocks),
        large.betti_matching_error(*blocks, window=16, trials=2, generator=torch.Generator().manual_seed(0)),
        large.truncated_distance_map(target, 5.0),
    ]
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        memory_limit=0,  # a worker near a limit would pause, and the test would wait for it
        dashboard_address=":0",
        local_directory=tmp_path,
        death_timeout=LONGEST,
    )
    with cluster, distributed.Client(cluster, timeout=LONGEST, set_as_default=False) as client:
        found = [future.result(timeout=LONGEST) for future in client.compute(arrays)]
    for ours, theirs in zip(found, dask.compute(*arrays), strict=True):
        assert np.array_equal(ours, theirs)
