"""Render aerial images of real roads: OpenStreetMap's centre lines of Helsinki.

The geometry is real; the appearance is synthetic and depends on a seed. The images contain what makes networks err in
topology: trees and shadows hide parts of roads (gaps), and paths, railways and roofs look like roads (false
connections). With `decoys` they also contain tracks, which are as wide, long and built up as roads and differ from them
in colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter

from bench.train.scenes import Scene, texture

LINES = Path(__file__).parents[1] / "data" / "helsinki_roads.npz"

# Colours as red, green, blue in [0, 1].
GRASS, SOIL, PAVING = np.array([[0.34, 0.44, 0.26], [0.52, 0.46, 0.36], [0.57, 0.56, 0.53]], np.float32)
ASPHALT = np.array([0.50, 0.50, 0.51], np.float32)
GRAVEL = ASPHALT + np.array([0.002, 0, -0.0025], np.float32)  # visible in the mean of many pixels, not in one
HUE = np.array([0.08, 0, -0.1], np.float32)
SAND, BASALT = ASPHALT + HUE, ASPHALT - HUE  # visible in single pixels
CANOPY = np.array([0.16, 0.27, 0.14], np.float32)
BALLAST = np.array([0.44, 0.40, 0.37], np.float32)
ROOFS = np.array(
    [[0.56, 0.33, 0.26], [0.42, 0.41, 0.42], [0.63, 0.61, 0.58], [0.33, 0.32, 0.32], [0.50, 0.42, 0.35]], np.float32
)
SQUARE = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
DECOYS, FEW_DECOYS = 0.5, 0.2  # values of the argument `decoys` of `helsinki`
MISREAD_TRACKS, UNLABELLED = 0.2, 0.2  # defaults of `misread`
SUN = (6, 5)  # length of shadows, pixels down and to the right


def load_lines(path: Path = LINES) -> list[np.ndarray]:
    """Read the centre lines: arrays of shape (n, 2), metres east and north of the south-west corner."""
    with np.load(path) as file:
        return np.split(file["xy"], file["offsets"][1:-1])


def helsinki(seed: int = 0, rows: int | None = None, decoys: float = 0.0) -> tuple[Scene, Scene]:
    """Render central Helsinki at 1 m per pixel.

    Returns the northern 60 % to train on and the southern 40 % to hold out. The streets in the south are denser: they
    have 45 % of the total length, so that errors are counted on many of them.

    Parameters
    ----------
    seed : int
        Seed of the whole appearance.
    rows : int, optional
        Render only this many rows, counted from the south. By default all 1663 rows are rendered.
    decoys : float
        The approximate share of the lines that are also rendered as tracks, rotated by 180 degrees about the centre of
        the area. Tracks are not in the mask.
    """
    lines = load_lines()
    shape = _shape(lines, rows)
    tracks = _tracks(lines, shape, seed, decoys) if decoys else []
    return _split(render(lines, shape, np.random.default_rng(seed), tracks))


def misread(
    seed: int = 0, rows: int | None = None, tracks: float = MISREAD_TRACKS, unlabelled: float = UNLABELLED
) -> tuple[Scene, Scene]:
    """Render central Helsinki with tracks that differ visibly from roads, and labels for a warm-up that misread them.

    Nothing hides roads, and only tracks look like them, so that networks learn in few steps what labels say. The labels
    of the warm-up include the tracks, which are of sand, and lack the roads of basalt.

    Parameters
    ----------
    seed, rows
        As for `helsinki`.
    tracks : float
        The approximate share of the lines that are also rendered as tracks, like the `decoys` of `helsinki`.
    unlabelled : float
        The approximate share of the roads that are of basalt, and have no label in the warm-up.
    """
    lines = load_lines()
    shape = _shape(lines, rows)
    wrong = _tracks(lines, shape, seed, tracks)
    labelled = np.random.default_rng((seed, 2)).random(len(lines)) >= unlabelled
    colours = np.concatenate((np.tile(SAND, (len(wrong), 1)), np.where(labelled[:, None], ASPHALT, BASALT)))
    scene = render(lines, shape, np.random.default_rng(seed), wrong, colours, bare=True)
    labels = [line for line, take in zip(lines, labelled, strict=True) if take] + wrong
    return _split(replace(scene, warmup=_draw(labels, shape) > 0))


def _shape(lines: list[np.ndarray], rows: int | None) -> tuple[int, int]:
    """Return the height and the width of the area, pixels."""
    width, all_rows = (int(extent) + 1 for extent in np.concatenate(lines).max(0))
    return rows or all_rows, width


def _tracks(lines: list[np.ndarray], shape: tuple[int, int], seed: int, share: float) -> list[np.ndarray]:
    """Return a share of the lines, rotated by 180 degrees about the centre of the area."""
    chosen = np.random.default_rng((seed, 1)).random(len(lines)) < share
    return [(shape[1] - 1, shape[0] - 1) - line for line, take in zip(lines, chosen, strict=True) if take]


def _split(scene: Scene) -> tuple[Scene, Scene]:
    """Split an area into the northern 60 % and the southern 40 %."""
    split = round(0.6 * len(scene.mask))
    parts = (slice(split), slice(split, None))
    first, second = (
        Scene(scene.image[:, part], scene.mask[part], None if scene.warmup is None else scene.warmup[part])
        for part in parts
    )
    return first, second


def _draw(lines: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Draw centre lines one pixel wide, (H, W): the number of the last line at each pixel, counted from 1."""
    height, width = shape
    canvas = Image.new("I", (width, height))
    draw = ImageDraw.Draw(canvas)
    for label, line in enumerate(lines, start=1):
        draw.line([(float(x), height - 1 - float(y)) for x, y in line], fill=label)
    return np.asarray(canvas)


def render(
    lines: list[np.ndarray],
    shape: tuple[int, int],
    rng: Generator,
    tracks: Sequence[np.ndarray] = (),
    colours: np.ndarray | None = None,
    bare: bool = False,
) -> Scene:
    """Render an area of `shape` = (H, W) pixels of 1 m.

    Parameters
    ----------
    lines : list of ndarray, shape (n, 2)
        Centre lines of roads, metres east and north of the area's south-west corner.
    shape : tuple of int
        H and W.
    rng : Generator
        Draws the appearance.
    tracks : sequence of ndarray, shape (n, 2)
        Centre lines of tracks, which are rendered but are not in the mask.
    colours : ndarray, shape (tracks + roads, 3), optional
        The mean colour of each line. By default tracks are of gravel and roads of asphalt.
    bare : bool
        Render lines and ground only: no other lines, buildings, trees or shadows.
    """
    if colours is None:
        colours = np.concatenate((np.tile(GRAVEL, (len(tracks), 1)), np.tile(ASPHALT, (len(lines), 1))))
    road = _Roads(lines, shape, rng, tracks)
    image = _ground(shape, rng)
    if not bare:
        image = _distractors(image, rng)
    image = _over(image, road.colour(rng, colours), road.alpha)
    if not bare:
        image = _buildings(image, road, rng)
        image = _trees(image, road, rng)
        image *= 1 + 0.12 * texture(shape, 90, rng)[..., None]  # soft shadows of clouds
    # Blur and noise of the camera.
    image = gaussian_filter(image, (0.7, 0.7, 0)) + 0.03 * rng.standard_normal(image.shape, np.float32)
    return Scene(np.ascontiguousarray(image.clip(0, 1).transpose(2, 0, 1)), road.mask)


class _Roads:
    """Rasterised roads and tracks, with a random width for each line.

    Attributes
    ----------
    mask : ndarray, shape (H, W), bool
        The centre lines of the roads.
    distance : ndarray, shape (H, W)
        Distance to the nearest centre line of a road or track, pixels.
    nearest : ndarray, shape (H, W)
        Index of that line. Tracks are numbered before roads.
    tracks : int
        Number of tracks.
    width : ndarray, shape (lines,)
        In pixels.
    alpha : ndarray, shape (H, W), float32
        Share of each pixel that is covered by a road or track.
    """

    def __init__(
        self, lines: list[np.ndarray], shape: tuple[int, int], rng: Generator, tracks: Sequence[np.ndarray]
    ) -> None:
        lines = [*tracks, *lines]  # roads are drawn last, so that tracks do not interrupt their centre lines
        labels = _draw(lines, shape)
        self.tracks, self.mask = len(tracks), labels > len(tracks)
        self.distance, index = distance_transform_edt(labels == 0, return_indices=True)
        self.nearest = labels[tuple(index)] - 1
        self.width = rng.uniform(4, 9, len(lines))
        self.alpha = (self.width[self.nearest] / 2 - self.distance + 0.5).clip(0, 1).astype(np.float32)

    def colour(self, rng: Generator, colours: np.ndarray) -> np.ndarray:
        """Return colours (H, W, 3) from those of the lines: one shade per line, worn and patched along it."""
        shade = rng.uniform(0.78, 1.22, len(self.width)).astype(np.float32)[self.nearest]
        shade = shade + 0.10 * texture(shade.shape, 12, rng) + 0.04 * texture(shade.shape, 1.5, rng)
        return colours[self.nearest] * shade[..., None]


def _over(image: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Blend a colour over an image."""
    return image + alpha[..., None] * (colour - image)


def _ground(shape: tuple[int, int], rng: Generator) -> np.ndarray:
    """Draw patches of grass, soil and paved yards, with fine grain."""
    image = np.broadcast_to(GRASS, (*shape, 3))
    for colour, scale in ((SOIL, 25), (PAVING, 40)):
        image = _over(image, colour, (0.5 + 1.5 * texture(shape, scale, rng)).clip(0, 1))
    grain = 0.06 * texture(shape, 1, rng) + 0.06 * texture(shape, 4, rng) + 0.05 * texture(shape, 15, rng)
    return image * (1 + grain[..., None])


class _Distractor(NamedTuple):
    """A kind of line that is not a road."""

    density: float  # lines per 100 x 100 pixels
    length: tuple[int, int]  # shortest and longest, pixels
    width: tuple[int, int]  # narrowest and widest, pixels
    bend: float  # deviation of the heading's change, per pixel
    colour: np.ndarray
    opacity: float


_PATH = _Distractor(0.9, (30, 110), (2, 4), 0.03, ASPHALT, 0.75)
_HEDGE = _Distractor(0.5, (20, 80), (2, 5), 0.01, CANOPY, 0.8)
_RAILWAY = _Distractor(0.04, (300, 700), (5, 7), 0.003, BALLAST, 0.9)


def _distractors(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw lines that are not roads: narrow paved paths, hedges, and long railways."""
    height, width, _ = image.shape
    for kind in (_PATH, _HEDGE, _RAILWAY):
        narrowest, widest = kind.width
        canvas = Image.new("L", (width, height))
        draw = ImageDraw.Draw(canvas)
        for _ in range(round(kind.density * height * width / 1e4)):
            steps = np.arange(0, rng.uniform(*kind.length), 4.0)
            turn = rng.normal(0, kind.bend, len(steps)) * 4
            heading = rng.uniform(0, 2 * np.pi) + np.cumsum(gaussian_filter(turn, 3))
            path = rng.uniform((0, 0), (width, height)) + np.cumsum(
                4 * np.stack((np.cos(heading), np.sin(heading)), 1), 0
            )
            draw.line([*map(tuple, path.tolist())], fill=255, width=int(rng.integers(narrowest, widest + 1)))
        alpha = np.asarray(canvas, np.float32) / 255 * kind.opacity
        shade = 1 + 0.12 * texture((height, width), 10, rng)
        image = _over(image, kind.colour * shade[..., None], alpha)
    return image


def _buildings(image: np.ndarray, road: _Roads, rng: Generator) -> np.ndarray:
    """Draw roofs along the streets, and their shadows, which fall on the streets."""
    height, width, _ = image.shape
    roofs = Image.new("L", (width, height))
    draw = ImageDraw.Draw(roofs)
    slope_y, slope_x = np.gradient(gaussian_filter(road.distance, 3))
    for _ in range(round(height * width / 450)):
        x, y = rng.uniform((0, 0), (width, height))
        row, column = int(y), int(x)
        half = rng.uniform((5, 5), (15, 9))
        if road.distance[row, column] < np.hypot(*half) + road.width[road.nearest[row, column]] / 2 - 2:
            continue
        away = np.array((slope_x[row, column], slope_y[row, column]))  # from the street
        away /= np.linalg.norm(away) + 1e-6
        along = np.array((-away[1], away[0]))
        corners = (x, y) + (SQUARE * half) @ np.stack((along, away))
        draw.polygon(corners.ravel().tolist(), fill=int(rng.integers(1, 256)))
    tone = np.asarray(roofs)
    built = tone > 0
    shadow = np.zeros((height, width), np.float32)
    for step in np.linspace(0, 1, 7):
        shadow = np.maximum(shadow, np.roll(built, [round(step * s) for s in SUN], (0, 1)))
    image = image * (1 - 0.5 * gaussian_filter(shadow, 0.7)[..., None])
    colour = ROOFS[tone % len(ROOFS)] * (0.85 + 0.3 * (tone[..., None] / 255)).astype(np.float32)
    return _over(image, colour * (1 + 0.05 * texture((height, width), 2, rng)[..., None]), built.astype(np.float32))


def _trees(image: np.ndarray, road: _Roads, rng: Generator) -> np.ndarray:
    """Draw tree crowns with shadows, in groves and along some streets, where they hide the road."""
    height, width, _ = image.shape
    grove = texture((height, width), 30, rng)
    lined = rng.random(len(road.width)) < 0.35
    probability = 0.012 * (grove > 1.0) * (1 - 0.6 * road.alpha) + 0.0012  # groves leave most of a street visible
    probability = np.where((road.distance < 7) & lined[road.nearest], 0.02, probability)
    rows, columns = np.nonzero(rng.random((height, width)) < probability)
    crowns, shadows = (Image.new("L", (width, height)) for _ in range(2))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        r = rng.uniform(1.5, 5)
        tone = int(rng.integers(120, 256))
        ImageDraw.Draw(crowns).ellipse((column - r, row - r, column + r, row + r), fill=tone)
        dy, dx = (s / 2 for s in SUN)
        ImageDraw.Draw(shadows).ellipse((column - r + dx, row - r + dy, column + r + dx, row + r + dy), fill=255)
    image = image * (1 - 0.45 * np.asarray(shadows, np.float32)[..., None] / 255)
    tone = np.asarray(crowns, np.float32) / 255
    grain = 1 + 0.25 * texture((height, width), 1, rng)
    return _over(image, CANOPY * (1.6 * tone * grain)[..., None], (tone > 0).astype(np.float32))
