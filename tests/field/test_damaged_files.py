"""The training command refuses unusable files with one line that names them, never with a traceback."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import bench.train.files
from bench.train import __main__ as demo
from bench.train.folder import load_folder

SIDE = 136


@pytest.fixture
def folder(tmp_path) -> tuple[Path, Path]:
    """Write two valid pairs of image and mask, and return their directories."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    for directory in (images, masks):
        directory.mkdir()
        for name in ("a.png", "b.png"):
            Image.new("L", (SIDE, SIDE), 255).save(directory / name)
    return images, masks


def error_of(capsys, out: Path, *words: object) -> str:
    """Return the last line that the command prints when it refuses these arguments."""
    with pytest.raises(SystemExit) as stopped:
        demo.main([str(word) for word in ("--rows", 400, "--warmup", 1, "--steps", 1, "--out", out, *words)])
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def tiff_that_claims(width: int, height: int) -> bytes:
    """Return a TIFF of a few bytes with the header of a huge 8-bit image."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height % 2**32)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)


def test_tiff_that_claims_too_many_pixels_is_refused_before_it_is_decoded(folder, tmp_path, capsys):
    images, masks = folder
    (images / "b.png").unlink()
    (images / "b.tif").write_bytes(tiff_that_claims(100_000, 100_000))
    message = error_of(capsys, tmp_path / "out", "--images", images, "--masks", masks)
    assert "b.tif" in message
    assert "10,000,000,000 pixels, at most 134,217,728" in message


def test_png_above_pillows_limit_is_refused(folder, tmp_path, capsys):
    images, masks = folder
    Image.new("1", (20_000, 10_000)).save(images / "b.png")
    message = error_of(capsys, tmp_path / "out", "--images", images, "--masks", masks)
    assert "b.png" in message
    assert "pixels" in message


def test_largest_supported_image_is_below_pillows_limit():
    assert bench.train.files.MOST_PIXELS < 2 * Image.MAX_IMAGE_PIXELS  # above twice the limit Pillow raises


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("damage", ["empty", "garbage", "truncated"])
def test_damaged_image_raises_an_error_that_names_it(folder, suffix, damage):
    images, masks = folder
    path = images / f"b{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    if suffix == ".png":
        Image.fromarray(pixels).save(path)
    else:
        (images / "b.png").unlink()
        tifffile.imwrite(path, pixels)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "garbage": b"no image" * 100, "truncated": whole[: len(whole) // 2]}[damage])
    with pytest.raises(ValueError, match=rf"b\{suffix} cannot be read as an image: "):
        load_folder(images, masks, 0.5)


def test_png_with_a_tiff_suffix_raises_an_error_that_names_it(folder):
    images, masks = folder
    (images / "b.png").rename(images / "b.tif")  # a PNG with the wrong ending
    with pytest.raises(ValueError, match=r"b\.tif cannot be read as an image: "):
        load_folder(images, masks, 0.5)


@pytest.mark.parametrize("content", ["empty", "garbage", "tensor", "mapping", "other branches", "figure"])
def test_file_that_is_not_a_checkpoint_is_refused(tmp_path, capsys, content):
    path = tmp_path / "checkpoint.pt"
    settings = {"data": "roads", "preset": "small", "seed": "0", "slope": "0.2", "warmup": "1", "rows": "400"}
    settings |= {"images": "None", "masks": "None", "held_out": "0.4"}
    settings["weight"] = str(demo.PRESETS["small"][2].weight)
    if content in ("empty", "garbage"):
        path.write_bytes(b"" if content == "empty" else b"\x80\x02garbage" * 50)
    elif content == "figure":
        Image.new("L", (9, 9)).save(path, "png")
    else:
        torch.save(
            {
                "tensor": torch.zeros(3),
                "mapping": {"epoch": 3},
                "other branches": {"settings": settings, "step": 1, "branches": {"MSE": {"net": {}}}, "generator": 0},
            }[content],
            path,
        )
    message = error_of(capsys, tmp_path / "out", "--resume", path)
    assert str(path) in message
    assert ("does not fit the network" if content == "other branches" else "is not a checkpoint") in message


def test_missing_checkpoint_is_refused_by_name(tmp_path, capsys):
    assert "nowhere.pt" in error_of(capsys, tmp_path, "--resume", tmp_path / "nowhere.pt")
