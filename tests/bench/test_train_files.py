"""The formats of images, volumes and masks that the training demo reads."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from bench.train import __main__ as demo
from bench.train.files import read_image, read_mask, stem_of
from bench.train.folder import load_folder

MASK = np.zeros((20, 31), bool)
MASK[7, :], MASK[3:15, 12] = True, True
VOLUME = np.zeros((6, 9, 11), bool)
VOLUME[2, 3, :] = VOLUME[1:5, 3, 4] = True


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def write_nifti(path: Path, values: np.ndarray) -> None:
    """Write an array (z, y, x, ...) in the order of NIfTI."""
    nibabel = pytest.importorskip("nibabel")
    spatial = values.transpose(2, 1, 0, *range(3, values.ndim))
    nibabel.save(nibabel.Nifti1Image(spatial, np.diag([0.5, 0.5, 2.0, 1.0])), path)


def write_zarr(path: Path, values: np.ndarray) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.open_array(path, mode="w", shape=values.shape, dtype=values.dtype, chunks=(4,) * values.ndim)[...] = values


# Masks.


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_gif_masks_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(255 * MASK.astype(np.uint8))
    if mode == "P":
        image = Image.fromarray(MASK.astype(np.uint8)).convert("P")
        image.putpalette([10, 10, 10, 250, 200, 30] + [0] * 762)
    image.convert(mode).save(tmp_path / "a.gif")
    assert np.array_equal(read_mask(tmp_path / "a.gif", 2), MASK)


def test_animated_gif_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"a\.gif cannot be read as an image: it has 2 frames, expected one"):
        read_mask(tmp_path / "a.gif", 2)


def test_labels_in_a_volume_are_objects_whatever_their_numbers(tmp_path: Path, rng: np.random.Generator) -> None:
    labels = VOLUME * rng.integers(1, 900, VOLUME.shape)
    for dtype in (np.uint16, np.int32):
        tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype))
        assert np.array_equal(read_mask(tmp_path / "a.tif", 3), VOLUME)
    tifffile.imwrite(tmp_path / "a.tif", 0.8 * VOLUME + np.float32(0.1))  # probabilities
    assert np.array_equal(read_mask(tmp_path / "a.tif", 3), VOLUME)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".zarr", ".tif"])
def test_volumes_have_the_order_z_y_x(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write = {".tif": tifffile.imwrite, ".zarr": write_zarr}.get(suffix, write_nifti)
    write(path, VOLUME.astype(np.uint8))
    assert np.array_equal(read_mask(path, 3), VOLUME)
    assert np.allclose(read_image(path, 3), VOLUME[None] / 255)


def test_channels_of_volumes_come_first(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 255, (2, *VOLUME.shape), np.uint8)
    expected = values.astype(np.float32) / 255
    write_zarr(tmp_path / "a.zarr", values)
    write_nifti(tmp_path / "a.nii.gz", np.moveaxis(values, 0, -1))
    tifffile.imwrite(tmp_path / "a.tif", values, metadata={"axes": "CZYX"})
    tifffile.imwrite(tmp_path / "b.tif", values.transpose(1, 0, 2, 3), metadata={"axes": "ZCYX"}, imagej=True)
    for name in ("a.zarr", "a.nii.gz", "a.tif", "b.tif"):
        assert np.allclose(read_image(tmp_path / name, 3), expected), name


def test_zarr_with_axes_of_time_and_channel_and_ome_groups_are_read(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    write_zarr(tmp_path / "a.zarr", VOLUME[None, None].astype(np.uint8))
    assert np.array_equal(read_mask(tmp_path / "a.zarr", 3), VOLUME)

    group = zarr.open_group(tmp_path / "b.zarr", mode="w")
    scales = [{"datasets": [{"path": "full"}, {"path": "half"}]}]
    for name, values in (("half", VOLUME[::2, ::2, ::2]), ("full", VOLUME)):
        write_zarr(tmp_path / "b.zarr" / name, values.astype(np.uint8))
    with pytest.raises(ValueError, match=r"it is a group of the arrays \['full', 'half'\], expected an array or OME"):
        read_mask(tmp_path / "b.zarr", 3)
    for attributes in ({"multiscales": scales}, {"ome": {"multiscales": scales}}):
        group.attrs.put(attributes)
        assert np.array_equal(read_mask(tmp_path / "b.zarr", 3), VOLUME)


# Images.


def test_geotiff_with_bands_in_planes_and_nodata_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(300, 50, (3, 20, 31)).astype(np.float32)
    values[:, :4, :5] = -9999.0
    tags = [(42113, "s", 0, "-9999", True)]
    tifffile.imwrite(tmp_path / "a.tif", values, planarconfig="separate", photometric="rgb", extratags=tags)
    found = read_image(tmp_path / "a.tif", 2)
    assert found.shape == values.shape and (found[:, :4, :5] == 0).all()
    inside = found[:, 5:]
    assert 0.4 < inside.mean() < 0.6 and inside.min() == 0 and inside.max() == 1
    order = np.argsort(values[:, 5:], axis=None)
    assert (np.diff(inside.ravel()[order]) >= 0).all()


def test_geotiff_of_rasterio_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    rasterio = pytest.importorskip("rasterio")
    values = rng.integers(0, 255, (3, 20, 31), np.uint8)
    about = {"height": 20, "width": 31, "count": 3, "dtype": "uint8", "compress": "deflate", "nodata": 255}
    for interleave in ("band", "pixel"):
        with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", interleave=interleave, **about) as file:
            file.write(values)
        assert np.allclose(read_image(tmp_path / "a.tif", 2), values / np.float32(255)), interleave


def test_numbers_without_a_range_are_scaled_between_percentiles(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(0, 1000, VOLUME.shape).astype(np.int16)
    values[0, 0, 0] = 32767  # an outlier
    write_nifti(tmp_path / "a.nii", values)
    found = read_image(tmp_path / "a.nii", 3)[0]
    assert found.dtype == np.float32 and found.min() == 0 and found.max() == 1
    assert found.std() > 0.05
    constant = np.full((4, 5), np.nan, np.float32)
    tifffile.imwrite(tmp_path / "b.tif", constant)
    assert (read_image(tmp_path / "b.tif", 2) == 0).all() and not read_mask(tmp_path / "b.tif", 2).any()


def test_volumes_are_refused_as_images_and_images_as_volumes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "volume.tif", VOLUME.astype(np.uint8))
    tifffile.imwrite(tmp_path / "image.tif", MASK.astype(np.uint8))
    with pytest.raises(ValueError, match=r"volume\.tif has the shape \(6, 9, 11\), expected a gray or an RGB image"):
        read_image(tmp_path / "volume.tif", 2)
    with pytest.raises(ValueError, match=r"image\.tif has the shape \(20, 31\), expected a volume"):
        read_image(tmp_path / "image.tif", 3)


@pytest.mark.parametrize(("suffix", "package"), [(".nii.gz", "nibabel"), (".zarr", "zarr")])
def test_missing_package_is_named(tmp_path: Path, monkeypatch, suffix: str, package: str) -> None:
    (tmp_path / f"a{suffix}").touch()

    def without(name: str, *rest: object) -> object:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *rest)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ValueError, match=rf"this needs {package}: pip install {package}"):
        read_image(tmp_path / f"a{suffix}", 3)


# Folders.


def test_images_and_masks_of_different_formats_are_paired_by_name(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for i in range(2):
        write_zarr(images / f"{i}.zarr", np.roll(VOLUME, i, 2).astype(np.uint8))
        write_nifti(masks / f"{i}.nii.gz", np.roll(VOLUME, i, 2).astype(np.uint8))
    train, held_out = load_folder(images, masks, 0.5, rank=3)
    assert np.array_equal(train[0].mask, VOLUME)
    assert np.array_equal(held_out[0].image[0] > 0, held_out[0].mask)
    assert stem_of(Path("a.b.nii.gz")) == "a.b"


def test_drive_is_paired_in_sorted_order(tmp_path: Path, rng: np.random.Generator) -> None:
    images, masks = tmp_path / "images", tmp_path / "1st_manual"
    images.mkdir()
    masks.mkdir()
    for i in (21, 22):
        tifffile.imwrite(images / f"{i}_training.tif", rng.integers(0, 255, (20, 31, 3), np.uint8), photometric="rgb")
        Image.fromarray(255 * np.roll(MASK, i, 0).astype(np.uint8)).save(masks / f"{i}_manual1.gif")
    train, held_out = load_folder(images, masks, 0.5)
    assert train[0].image.shape == (3, 20, 31)
    assert np.array_equal(train[0].mask, np.roll(MASK, 21, 0)) and np.array_equal(
        held_out[0].mask, np.roll(MASK, 22, 0)
    )


@pytest.mark.slow
def test_demo_trains_on_a_folder_of_volumes(tmp_path: Path, rng: np.random.Generator) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    mask = np.zeros((48, 50, 52), bool)
    mask[20, :, 26] = mask[10:40, 25, 26] = True
    for i in range(2):
        tifffile.imwrite(images / f"{i}.tif", (1000 * (mask + rng.random(mask.shape) / 4)).astype(np.uint16))
        write_zarr(masks / f"{i}.zarr", mask.astype(np.int32) * 7)
    data = "--data", "neurons", "--images", images, "--masks", masks, "--out", tmp_path
    brief = "--warmup", 1, "--steps", 1, "--threads", torch.get_num_threads()
    result = demo.main([str(word) for word in (*data, *brief)])
    assert np.isfinite(list(result["held_out"]["MSE"].values())).all()
    assert (tmp_path / "figure.png").exists()
