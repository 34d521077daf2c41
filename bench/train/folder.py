"""Read your own data: a directory of images and a directory of masks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from skimage.io import imread

from bench.train.scenes import Scene

SUFFIXES = (".png", ".tif", ".tiff")
MOST_PIXELS = 2**27  # of an image: 1.6 GB as float32 RGB, and below the size at which Pillow refuses to decode


def load_folder(images: Path, masks: Path, held_out: float) -> tuple[list[Scene], list[Scene]]:
    """Read pairs of PNG or TIFF files, and split them into scenes to train on and scenes held out.

    A mask belongs to the image whose file name has the same stem. If no stem is shared, the two directories are paired
    in sorted order. Images are gray or RGB with 8 or 16 bits; an alpha channel is dropped. Roads are the pixels of a
    mask above half of its maximum.

    Parameters
    ----------
    images, masks : Path
        The two directories.
    held_out : float
        The share of the pairs, the last ones in sorted order, that is held out: at least one pair, and not all.

    Returns
    -------
    training, held_out : list of Scene

    Raises
    ------
    ValueError
        If there are fewer than two pairs, if a file has no partner, is damaged or declares more than `MOST_PIXELS`, or
        if sizes, channels or types do not match. The message names the file.
    """
    pairs = _pair(_files(images), _files(masks))
    if len(pairs) < 2:
        raise ValueError(f"{images}: at least two images are needed, one to train on and one held out; found one")
    scenes = [_read_pair(image, mask) for image, mask in pairs]
    channels = {len(scene.image) for scene in scenes}
    if len(channels) > 1:
        raise ValueError(f"{images}: all images must be gray or all RGB, found {sorted(channels)} channels")
    split = len(scenes) - min(len(scenes) - 1, max(1, round(held_out * len(scenes))))
    return scenes[:split], scenes[split:]


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    files = sorted(path for path in directory.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{directory} holds no file that ends in {', '.join(SUFFIXES)}")
    return files


def _pair(images: list[Path], masks: list[Path]) -> list[tuple[Path, Path]]:
    if len(images) != len(masks):
        raise ValueError(f"{len(images)} images in {images[0].parent} but {len(masks)} masks in {masks[0].parent}")
    by_stem = {path.stem: path for path in masks}
    alone = [path for path in images if path.stem not in by_stem]
    if len(alone) == len(images):
        return list(zip(images, masks, strict=True))
    if alone:
        raise ValueError(f"{alone[0]} has no mask of the same name in {masks[0].parent}, while other images have")
    return [(path, by_stem[path.stem]) for path in images]


def _read_pair(image_path: Path, mask_path: Path) -> Scene:
    image, mask = _read(image_path), _read(mask_path).max(0)
    if image.shape[1:] != mask.shape:
        (height, width), (mask_height, mask_width) = image.shape[1:], mask.shape
        raise ValueError(f"{image_path} is {height} x {width} pixels but {mask_path} is {mask_height} x {mask_width}")
    return Scene(image, mask > mask.max() / 2)


def _read(path: Path) -> np.ndarray:
    """Read a file as an array (C, H, W), float32 in [0, 1], without an alpha channel."""
    try:
        _check_declared_size(path)
        pixels = imread(path)
    except Exception as error:  # decoders of damaged files raise almost anything
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if pixels.dtype not in (np.bool_, np.uint8, np.uint16):
        raise ValueError(f"{path} holds {pixels.dtype}, expected 8- or 16-bit unsigned integers")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] > 4:
        raise ValueError(f"{path} has the shape {pixels.shape}, expected a gray or an RGB image")
    if pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    scale = 1 if pixels.dtype == np.bool_ else np.iinfo(pixels.dtype).max
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / scale


def _check_declared_size(path: Path) -> None:
    """Raise if the file's header declares more pixels than are supported, before memory is allocated for them."""
    if path.suffix.lower() == ".png":
        with Image.open(path) as image:
            pixels = math.prod(image.size)
    else:
        with tifffile.TiffFile(path) as tiff:
            pixels = max((page.imagewidth * page.imagelength for page in tiff.pages), default=0)
    if pixels > MOST_PIXELS:
        raise ValueError(f"it has {pixels:,} pixels, at most {MOST_PIXELS:,} are supported; cut it into tiles")
