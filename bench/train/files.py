"""Read images, volumes and masks from files of several formats."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image
from skimage.io import imread

SUFFIXES = (".png", ".gif", ".tif", ".tiff", ".nii", ".nii.gz", ".zarr")
MOST_PIXELS = 2**27  # of an image: 1.6 GB as float32 RGB, and below the size at which Pillow refuses to decode
NODATA_TAG = 42113  # of GeoTIFF
# Numbers that are neither 8- nor 16-bit unsigned have no range of their own: they are scaled between these percentiles.
PERCENTILES = (0.5, 99.5)


class Pixels(NamedTuple):
    """What a file holds."""

    values: np.ndarray
    """Shape (C, *spatial), of any dtype of real numbers."""
    valid: np.ndarray
    """Where there are values, shape (*spatial), bool."""


def suffix_of(path: Path) -> str:
    """Return the suffix of a file that can be read, in lower case, or an empty string."""
    return next((suffix for suffix in sorted(SUFFIXES, key=len)[::-1] if path.name.lower().endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """Return the name of a file without its suffix, which may be double, as in "a.nii.gz"."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def read_image(path: Path, rank: int) -> np.ndarray:
    """Read an image or a volume as an array (C, *spatial), float32 in [0, 1], without an alpha channel.

    Unsigned integers of 8 and 16 bits are divided by their maximum, 255 or 65,535. Other numbers are scaled between
    percentiles of the file. Pixels without a value, which are NaN or the nodata value of a GeoTIFF, are 0.
    """
    values, valid = _read(path, rank)
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype in (np.uint8, np.uint16):
        scaled = values.astype(np.float32) / np.iinfo(values.dtype).max
    else:
        some = values[:, valid].astype(np.float64)
        low, high = np.percentile(some, PERCENTILES) if some.size else (0.0, 0.0)
        scale = 1 / (high - low) if high > low else 0.0
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = ((values - low) * scale).clip(0, 1).astype(np.float32)
    return np.where(valid, scaled, np.float32(0))


def read_mask(path: Path, rank: int) -> np.ndarray:
    """Read a mask as an array (*spatial), bool.

    Integers in a volume are labels, so every number but 0 is an object. In all other masks, objects are where the
    values, or the largest of the channels, are above half of the maximum.
    """
    values, valid = _read(path, rank)
    largest = np.where(valid, values.max(0), np.zeros((), values.dtype))
    if rank == 3 and largest.dtype.kind in "biu":
        return largest != 0
    return largest > largest.max(initial=0) / 2


def _read(path: Path, rank: int) -> Pixels:
    """Read a file, and put its channels first."""
    suffix = suffix_of(path)
    reader = {".png": _png, ".gif": _gif, ".nii": _nifti, ".nii.gz": _nifti, ".zarr": _zarr}.get(suffix, _tiff)
    try:
        values, channels, nodata = reader(path, rank)
    except Exception as error:  # decoders of damaged files raise almost anything
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {values.dtype}, expected real numbers")
    if values.ndim == rank:
        values = values[None]
    elif values.ndim == rank + 1 and channels is not None:
        values = np.moveaxis(values, channels, 0)
    if values.ndim != rank + 1 or not 1 <= len(values) <= 4 or 0 in values.shape:
        kind = "a gray or an RGB image" if rank == 2 else "a volume of up to 4 channels"
        raise ValueError(f"{path} has the shape {values.shape}, expected {kind}")
    if rank == 2 and len(values) in (2, 4):
        values = values[:-1]  # alpha
    valid = np.isfinite(values).all(0) if values.dtype.kind == "f" else np.ones(values.shape[1:], bool)
    if nodata is not None:
        valid &= (values != nodata).any(0)
    return Pixels(np.ascontiguousarray(values), valid)


# The values in a file, the axis of its channels if it has one, and the value that marks missing pixels.
Raw = tuple[np.ndarray, "int | None", "float | None"]


def _png(path: Path, rank: int) -> Raw:
    with Image.open(path) as image:
        _check_size(math.prod(image.size))
    return imread(path), -1, None


def _gif(path: Path, rank: int) -> Raw:
    with Image.open(path) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise ValueError(f"it has {image.n_frames} frames, expected one")
        _check_size(math.prod(image.size))
        values = np.asarray(image.convert("RGB"))
    is_gray = (values == values[..., :1]).all()
    return (values[..., 0] if is_gray else values), -1, None


def _tiff(path: Path, rank: int) -> Raw:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        pages = max((page.imagewidth * page.imagelength for page in file.pages), default=0)
        channels = next((series.axes.index(axis) for axis in "SC" if axis in series.axes), 0)  # bands come first
        _check_size(max(pages, math.prod(series.shape) // (series.shape[channels] if series.ndim > rank else 1)))
        tag = file.pages[0].tags.get(NODATA_TAG)
        return series.asarray(), channels, None if tag is None else float(str(tag.value).strip("\0 "))


def _nifti(path: Path, rank: int) -> Raw:
    file = _package("nibabel").load(path)
    shape = file.shape
    _check_size(math.prod(shape[:3]))
    values = np.asanyarray(file.dataobj)
    while values.ndim > rank and values.shape[-1] == 1:
        values = values[..., 0]
    spatial = range(min(rank, values.ndim) - 1, -1, -1)  # (x, y, z) in the file
    return values.transpose(*spatial, *range(len(spatial), values.ndim)), values.ndim - 1, None


def _zarr(path: Path, rank: int) -> Raw:
    zarr = _package("zarr")
    found = zarr.open(path, mode="r")
    if isinstance(found, zarr.Group):
        about = dict(found.attrs)
        scales = about.get("ome", about).get("multiscales")  # OME-Zarr, whose first array has the full resolution
        names = sorted(name for name, _ in found.arrays())
        if not scales and len(names) != 1:
            raise ValueError(f"it is a group of the arrays {names}, expected an array or OME-Zarr")
        found = found[scales[0]["datasets"][0]["path"] if scales else names[0]]
    shape = found.shape
    extra = next((axis for axis in range(found.ndim) if shape[axis] != 1 or found.ndim - axis <= rank), 0)
    _check_size(math.prod(shape[-rank:]))
    return np.asarray(found[(0,) * extra]) if extra else np.asarray(found[...]), 0, None


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"this needs {name}: pip install {name}") from error


def _check_size(pixels: int) -> None:
    """Raise if the header of a file declares more pixels than are supported, before memory is allocated for them."""
    if pixels > MOST_PIXELS:
        raise ValueError(f"it has {pixels:,} pixels, at most {MOST_PIXELS:,} are supported; cut it into tiles")
