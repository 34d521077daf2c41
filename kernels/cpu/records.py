"""Records that the CPU's stages exchange, for images and volumes alike. Numba takes them as arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_NO_PARTNERS = np.empty(0, np.int32)
Axes = tuple[int, ...]  # three: z, y and x


class Windows(NamedTuple):
    """Where the windows of a batch come from.

    All arrays have three axes of pixels, (D, H, W); those of images have a depth of 1. A window is a whole image, or is
    cut from a prediction and its truth in the same place and copied.
    """

    pred: Array  # (B, D, H, W)
    target: Array  # (B, D, H, W), or (0, D, H, W) if there is none
    height: Array  # what is added to the windows: (1 or N, *size); (0, 0, 0, 0) for nothing
    slopes: Array  # of a linear function to add, along the axes: (1 or N, 3); (0, 3) for none
    size: Axes
    stride: Axes
    counts: Axes  # windows along each axis of an image
    frame: Axes  # width of the frame in each direction, 0 or 1
    copied: bool  # False for whole images, which are read where they are

    def number(self) -> int:
        """Return the number of windows of one image of each pair."""
        return len(self.pred) * self.counts[0] * self.counts[1] * self.counts[2]

    def images(self) -> int:
        """Return the number of images that a window is cut from, 1 or 2."""
        return 2 if len(self.target) else 1

    def framed(self) -> Axes:
        """Return the size of a window, including its frame."""
        (depth, height, width), (z, y, x) = self.size, self.frame
        return depth + 2 * z, height + 2 * y, width + 2 * x


class Task(NamedTuple):
    """What to compute for each window."""

    top: bool  # True for the construction T, False for V
    wanted: tuple[bool, ...]  # for each dimension of V, whether its pairs are wanted
    min_persistence: float
    halt: int  # see `primitives.halted`


class Results(NamedTuple):
    """The status and counts of each window. K is the number of images that a window is cut from, 1 or 2."""

    status: Array  # (N, K) int32
    counts: Array  # (dimensions of V, N, K) int64: pairs


class Part(NamedTuple):
    """The pairs of the windows that one thread has worked on, and their partners where two images are compared.

    Codes (see `codes`) are of indices in the framed window. They are sorted by window, then by image, then by dimension
    of V, and the longest pairs come first.
    """

    windows: Array  # (n,) int64: their numbers
    codes: Array  # (m,) int64
    levels: Array  # (2 m,) the values at birth and at death of each code; (0,) for windows that are not copied
    partners: Array = _NO_PARTNERS  # (m,) int32: the place of each code's partner in its list, or -1; or (0,)


class Saddles(NamedTuple):
    """Saddles that join the classes of extrema."""

    order: Array  # (m,) the saddles, the least first
    ends: Array  # (2, m) the extrema that each joins


class MergeTree(NamedTuple):
    """Which saddle ends the class of which extremum. Extrema are numbers below n."""

    saddle_of: Array  # (n,) at each extremum, the saddle that ends its class; the number of saddles if none does
    elder_of: Array  # (n,) scratch
    partner: Array  # (m,) for each saddle, the extremum whose class it ends, or -1


class Links(NamedTuple):
    """The links of a merge tree: the saddles that end classes, in the order in which `merge` takes them."""

    owner_of: Array  # (m,) the positions of the owners of all saddles
    owners: Array  # (n,) int32: those of the saddles that end classes; only the first `number` entries are written
    younger: Array  # (n,) int32: the extrema whose classes they end
    elder: Array  # (n,) int32: the extrema of the classes that these join
    number: Array  # (1,) int64: how many of them there are
