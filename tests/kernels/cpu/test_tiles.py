"""Large images: pairs found tile by tile are those of the whole image at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuph
from gpuph.kernels.cpu.image.tiles import persistence as tiles
from gpuph.kernels.cpu.image.tiles import tiling

KINDS = ("noise", "ties", "smooth", "constant", "infinities", "ramp")
SIZES = ((1, 1), (1, 17), (19, 2), (13, 13), (21, 34), (32, 32))


def _image(kind: str, size: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    rng = np.random.default_rng(len(kind) + size[1])
    values = {
        "noise": lambda: rng.standard_normal(size),
        "ties": lambda: rng.integers(0, 3, size),
        "smooth": lambda: np.cumsum(np.cumsum(rng.standard_normal(size), 0), 1),
        "constant": lambda: np.zeros(size),
        "infinities": lambda: rng.choice([-np.inf, -0.0, 0.0, 1.0, np.inf], size),
        "ramp": lambda: np.add.outer(np.arange(size[0]), np.arange(size[1])),
    }[kind]()
    return torch.as_tensor(values, dtype=dtype)


@pytest.fixture(params=[1, 4, 5, 11], ids=lambda edge: f"edge{edge}")
def edge(request: pytest.FixtureRequest) -> int:
    return request.param


def _in_tiles(monkeypatch: pytest.MonkeyPatch, edge: int, x: torch.Tensor, **settings: object) -> gpuph.Diagrams:
    with monkeypatch.context() as patch:
        patch.setattr(tiles, "LARGE", 1)
        patch.setattr(tiling, "EDGE", edge)
        return gpuph.persistence(x, **settings)


def _assert_equal(first: gpuph.Diagrams, second: gpuph.Diagrams) -> None:
    assert first.keys() == second.keys()
    for dim in first:
        for field in ("birth", "death", "birth_index", "death_index", "count"):
            assert torch.equal(getattr(first[dim], field), getattr(second[dim], field)), (dim, field)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("kind", KINDS)
def test_pairs_do_not_depend_on_tiles(
    monkeypatch: pytest.MonkeyPatch, edge: int, kind: str, construction: str, dtype: torch.dtype
) -> None:
    for size in SIZES:
        x = _image(kind, size, dtype)[None]
        whole = gpuph.persistence(x, construction=construction)
        _assert_equal(_in_tiles(monkeypatch, edge, x, construction=construction), whole)


@pytest.mark.parametrize("settings", [{"dims": (0,)}, {"dims": (1,)}, {"min_persistence": 0.7}, {"superlevel": True}])
def test_settings_mean_the_same_in_tiles(monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]) -> None:
    x = _image("noise", (21, 34), torch.float32)[None]
    _assert_equal(_in_tiles(monkeypatch, 8, x, **settings), gpuph.persistence(x, **settings))


def test_pairs_of_several_images_do_not_depend_on_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.stack([_image("noise", (21, 34), torch.float32) * scale for scale in (1.0, -1.0, 2.0)])
    _assert_equal(_in_tiles(monkeypatch, 8, x), gpuph.persistence(x))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pairs_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    x = _image("ties", (40, 50), torch.float32)[None]
    whole = gpuph.persistence(x)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        _assert_equal(_in_tiles(monkeypatch, 7, x), whole)
    finally:
        torch.set_num_threads(before)


def test_nan_in_any_tile_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    x = _image("noise", (21, 34), torch.float32)[None]
    x[0, 20, 33] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        _in_tiles(monkeypatch, 8, x)


def test_loss_and_gradient_of_large_windows_do_not_depend_on_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    pred, target = (_image(kind, (32, 32), torch.float32)[None, None] for kind in ("noise", "smooth"))
    loss_fn = gpuph.DistancePHLoss(window=32, dims=(0, 1))
    results = []
    for large in (tiles.LARGE, 1):
        x = pred.clone().requires_grad_()
        with monkeypatch.context() as patch:
            patch.setattr(tiles, "LARGE", large)
            patch.setattr(tiling, "EDGE", 9)
            loss = loss_fn(x, target)
            loss.backward()
        results.append((loss.detach(), x.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.slow
def test_pairs_of_an_image_large_enough_for_tiles_are_those_of_its_parts() -> None:
    """Nothing is patched: an image of at least `LARGE` pixels agrees on the pairs with two parts that have fewer."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((1, 700, 512), np.float32))
    assert x[0].numel() >= tiles.LARGE
    rows = x.clone()
    rows[:, 349:351] = -10.0  # separates the pairs of dimension 0 above from those below
    large = gpuph.persistence(rows, dims=(0,), construction="T")[0]
    parts = [gpuph.persistence(part, dims=(0,), construction="T")[0] for part in (rows[:, :350], rows[:, 350:])]
    lengths = torch.cat([(part.death - part.birth)[0] for part in parts])
    assert torch.isinf(lengths).sum() == 2
    found = (large.death - large.birth)[0]
    assert found.numel() == lengths.numel() - 1
    assert torch.equal(found[found.isfinite()].sort().values, lengths[lengths.isfinite()].sort().values)
