"""Images of real roads: OpenStreetMap's centre lines of Helsinki, rendered the way an aerial camera might see them.

The geometry is real, the appearance is drawn from a seed. Everything that makes networks err in topology is there:
trees and shadows hide pieces of road (gaps), paths, railways and roofs look like road (false connections). With
`decoys` there are tracks, too, as wide, long and built up as roads, that differ from them in colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter

from bench.train.scenes import Scene, texture

LINES = Path(__file__).parents[1] / "data" / "helsinki_roads.npz"

# Colours as red, green, blue in [0, 1].
GRASS, SOIL, PAVING = np.array([[0.34, 0.44, 0.26], [0.52, 0.46, 0.36], [0.57, 0.56, 0.53]], np.float32)
ASPHALT = np.array([0.50, 0.50, 0.51], np.float32)
GRAVEL = ASPHALT + np.array([0.002, 0, -0.0025], np.float32)  # seen in the mean of many pixels, not in one
CANOPY = np.array([0.16, 0.27, 0.14], np.float32)
BALLAST = np.array([0.44, 0.40, 0.37], np.float32)
ROOFS = np.array(
    [[0.56, 0.33, 0.26], [0.42, 0.41, 0.42], [0.63, 0.61, 0.58], [0.33, 0.32, 0.32], [0.50, 0.42, 0.35]], np.float32
)
SQUARE = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
DECOYS, FEW_DECOYS = 0.5, 0.2  # of `helsinki`, in scenes that have any
SUN = (6, 5)  # shadows fall so many pixels down and to the right


def load_lines(path: Path = LINES) -> list[np.ndarray]:
    """Read centre lines: arrays of shape (n, 2), metres east and north of the south-west corner."""
    with np.load(path) as file:
        return np.split(file["xy"], file["offsets"][1:-1])


def helsinki(seed: int = 0, height: int | None = None, decoys: float = 0.0) -> tuple[Scene, Scene]:
    """Render central Helsinki at 1 m a pixel and split it: the northern 60 % to train on, the southern 40 % held out.

    The south has the denser streets, 45 % of their length, so that errors are counted on many of them.

    Parameters
    ----------
    seed : int
        Decides the whole appearance.
    height : int, optional
        Only so many rows, from the south; all of them (1663) by default.
    decoys : float
        About this share of the lines, turned by half a turn about the area's middle, are rendered as tracks, too, which
        are no roads.
    """
    lines = load_lines()
    width, full_height = (int(extent) + 1 for extent in np.concatenate(lines).max(0))
    shape, rng = (height or full_height, width), np.random.default_rng(seed)
    tracks: list[np.ndarray] = []
    if decoys:
        chosen = np.random.default_rng((seed, 1)).random(len(lines)) < decoys
        tracks = [(width - 1, shape[0] - 1) - line for line, take in zip(lines, chosen, strict=True) if take]
    scene = render(lines, shape, rng, tracks)
    split = round(0.6 * len(scene.mask))
    train, held_out = (slice(None, split), slice(split, None))
    return tuple(Scene(scene.image[:, rows], scene.mask[rows]) for rows in (train, held_out))


def render(lines: list[np.ndarray], shape: tuple[int, int], rng: Generator, tracks: Sequence[np.ndarray] = ()) -> Scene:
    """Render an area of `shape` = (H, W) pixels of 1 m whose south-west corner is the lines' origin.

    The centre lines of `tracks` are not in the mask.
    """
    road = _Roads(lines, shape, rng, tracks)
    image = _ground(shape, rng)
    image = _distractors(image, rng)
    image = _over(image, road.colour(rng), road.alpha)
    image = _buildings(image, road, rng)
    image = _trees(image, road, rng)
    # Clouds' soft shadows, the camera's blur and its noise.
    image *= 1 + 0.12 * texture(shape, 90, rng)[..., None]
    image = gaussian_filter(image, (0.7, 0.7, 0)) + 0.03 * rng.standard_normal(image.shape, np.float32)
    return Scene(np.ascontiguousarray(image.clip(0, 1).transpose(2, 0, 1)), road.mask)


class _Roads:
    """The raster of the centre lines, and around them roads, or tracks, of different width.

    Attributes: `mask` (H, W), bool, the centre lines of roads; `distance` (H, W) to those of either; `nearest` (H, W),
    which line that is, tracks first; `tracks`, how many; `width` (lines,), in pixels; `alpha` (H, W), how much of a
    pixel is road or track.
    """

    def __init__(
        self, lines: list[np.ndarray], shape: tuple[int, int], rng: Generator, tracks: Sequence[np.ndarray]
    ) -> None:
        lines = [*tracks, *lines]  # later ones are drawn over earlier ones: roads cross tracks unbroken
        canvas = Image.new("I", shape[::-1])
        draw = ImageDraw.Draw(canvas)
        for label, line in enumerate(lines, start=1):
            draw.line([(float(x), shape[0] - 1 - float(y)) for x, y in line], fill=label)
        labels = np.asarray(canvas)
        self.tracks, self.mask = len(tracks), labels > len(tracks)
        self.distance, index = distance_transform_edt(labels == 0, return_indices=True)
        self.nearest = labels[tuple(index)] - 1
        self.width = rng.uniform(4, 9, len(lines))
        self.alpha = (self.width[self.nearest] / 2 - self.distance + 0.5).clip(0, 1).astype(np.float32)

    def colour(self, rng: Generator) -> np.ndarray:
        """Asphalt, and gravel on tracks: one shade a street, worn and patched along it."""
        shade = rng.uniform(0.78, 1.22, len(self.width)).astype(np.float32)[self.nearest]
        shade = shade + 0.10 * texture(shade.shape, 12, rng) + 0.04 * texture(shade.shape, 1.5, rng)
        return np.where((self.nearest < self.tracks)[..., None], GRAVEL, ASPHALT) * shade[..., None]


def _over(image: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return image + alpha[..., None] * (colour - image)


def _ground(shape: tuple[int, int], rng: Generator) -> np.ndarray:
    """Grass, soil and paved yards in patches, with fine grain."""
    image = np.broadcast_to(GRASS, (*shape, 3))
    for colour, scale in ((SOIL, 25), (PAVING, 40)):
        image = _over(image, colour, (0.5 + 1.5 * texture(shape, scale, rng)).clip(0, 1))
    grain = 0.06 * texture(shape, 1, rng) + 0.06 * texture(shape, 4, rng) + 0.05 * texture(shape, 15, rng)
    return image * (1 + grain[..., None])


def _distractors(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Lines that are no roads: narrow paved paths, hedges, and long railways."""
    kinds = (  # how many in 100 x 100 pixels, shortest and longest, narrowest and widest, bend, colour, opacity
        (0.9, (30, 110), (2, 4), 0.03, ASPHALT, 0.75),
        (0.5, (20, 80), (2, 5), 0.01, CANOPY, 0.8),
        (0.04, (300, 700), (5, 7), 0.003, BALLAST, 0.9),
    )
    height, width = image.shape[:2]
    for density, lengths, widths, bend, colour, opacity in kinds:
        canvas = Image.new("L", (width, height))
        draw = ImageDraw.Draw(canvas)
        for _ in range(round(density * height * width / 1e4)):
            steps = np.arange(0, rng.uniform(*lengths), 4.0)
            turn = rng.normal(0, bend, len(steps)) * 4
            heading = rng.uniform(0, 2 * np.pi) + np.cumsum(gaussian_filter(turn, 3))
            path = rng.uniform((0, 0), (width, height)) + np.cumsum(
                4 * np.stack((np.cos(heading), np.sin(heading)), 1), 0
            )
            draw.line([*map(tuple, path.tolist())], fill=255, width=int(rng.integers(widths[0], widths[1] + 1)))
        alpha = np.asarray(canvas, np.float32) / 255 * opacity
        shade = 1 + 0.12 * texture((height, width), 10, rng)
        image = _over(image, colour * shade[..., None], alpha)
    return image


def _buildings(image: np.ndarray, road: _Roads, rng: Generator) -> np.ndarray:
    """Roofs along the streets, and their shadows, which reach over the streets."""
    height, width = image.shape[:2]
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
    """Crowns in groves and along some of the streets, where they hide the road, with their shadows."""
    height, width = image.shape[:2]
    grove = texture((height, width), 30, rng)
    lined = rng.random(len(road.width)) < 0.35
    chance = 0.012 * (grove > 1.0) * (1 - 0.6 * road.alpha) + 0.0012  # groves leave most of a street open
    chance = np.where((road.distance < 7) & lined[road.nearest], 0.02, chance)
    rows, columns = np.nonzero(rng.random((height, width)) < chance)
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
