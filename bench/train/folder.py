"""Read your own data: a directory of images or volumes, and a directory of masks."""

from __future__ import annotations

from pathlib import Path

from bench.train.files import SUFFIXES, read_image, read_mask, stem_of, suffix_of
from bench.train.scenes import Scene


def load_folder(images: Path, masks: Path, held_out: float, rank: int = 2) -> tuple[list[Scene], list[Scene]]:
    """Read pairs of files, and split them into scenes to train on and scenes held out.

    A mask belongs to the image whose file name has the same stem. If no stem is shared, the two directories are paired
    in sorted order. Formats are those of `bench.train.files.SUFFIXES`, and may differ between images and masks. Images
    are gray or RGB; an alpha channel is dropped. See `bench.train.files` for how numbers are read.

    Parameters
    ----------
    images, masks : Path
        The two directories.
    held_out : float
        The share of the pairs, the last ones in sorted order, that is held out: at least one pair, and not all.
    rank : int
        2 for images, 3 for volumes.

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
    scenes = [_read_pair(image, mask, rank) for image, mask in pairs]
    channels = {len(scene.image) for scene in scenes}
    if len(channels) > 1:
        raise ValueError(f"{images}: all images must be gray or all RGB, found {sorted(channels)} channels")
    split = len(scenes) - min(len(scenes) - 1, max(1, round(held_out * len(scenes))))
    return scenes[:split], scenes[split:]


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    files = sorted(path for path in directory.iterdir() if suffix_of(path))
    if not files:
        raise ValueError(f"{directory} holds no file that ends in {', '.join(SUFFIXES)}")
    return files


def _pair(images: list[Path], masks: list[Path]) -> list[tuple[Path, Path]]:
    if len(images) != len(masks):
        raise ValueError(f"{len(images)} images in {images[0].parent} but {len(masks)} masks in {masks[0].parent}")
    by_stem = {stem_of(path): path for path in masks}
    alone = [path for path in images if stem_of(path) not in by_stem]
    if len(alone) == len(images):
        return list(zip(images, masks, strict=True))
    if alone:
        raise ValueError(f"{alone[0]} has no mask of the same name in {masks[0].parent}, while other images have")
    return [(path, by_stem[stem_of(path)]) for path in images]


def _read_pair(image_path: Path, mask_path: Path, rank: int) -> Scene:
    image, mask = read_image(image_path, rank), read_mask(mask_path, rank)
    if image.shape[1:] != mask.shape:
        size, mask_size = (" x ".join(map(str, shape)) for shape in (image.shape[1:], mask.shape))
        raise ValueError(f"{image_path} is {size} pixels but {mask_path} is {mask_size}")
    return Scene(image, mask)
