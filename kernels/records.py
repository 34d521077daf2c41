"""Records that travel between operators and kernels, of arrays on the CPU and of tensors on other devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic, TypeVar

from typing_extensions import NamedTuple  # that of `typing` is not generic before Python 3.11

A = TypeVar("A")  # a NumPy array on the CPU, a tensor elsewhere


class Points(NamedTuple, Generic[A]):
    """The points of N persistence diagrams of one dimension."""

    birth: A  # (N, K), float32 or float64
    death: A  # (N, K), likewise
    count: A  # type: ignore[assignment]  # (N,), int64: the number of columns that are points; hides tuple.count


class Place(NamedTuple, Generic[A]):
    """Where the points of two diagrams are, for matchings in which a distance in the image costs something."""

    index_a: A  # (N, K), int64: flat indices of pixels; those of columns that are not points may be anything
    index_b: A  # (N, L), likewise
    shape: tuple[int, ...]  # of the image; up to three axes
    weights: tuple[float, ...]  # of a distance of one pixel along each axis; rounded to float32

    def axes(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Return the shape and the weights for three axes."""
        missing = 3 - len(self.shape)
        return (*(1,) * missing, *self.shape), (*(0.0,) * missing, *self.weights)


class Pairs(NamedTuple, Generic[A]):
    """The persistence pairs of N windows in one dimension, the longest pairs first."""

    index: A  # type: ignore[assignment]  # (N, 2, K), int64: flat indices of birth and death pixels, -1 for none
    value: A  # (N, 2, K): the filtration there, +inf for the death of an essential class
    count: A  # type: ignore[assignment]  # (N,), int64: the number of pairs, even if it is more than K


class Found(NamedTuple, Generic[A]):
    """The persistence pairs of N windows."""

    status: A  # (N,), int32: see `status.Status`
    pairs: list[Pairs[A]]  # for each dimension of the query, in its order


class PixelSets(NamedTuple, Generic[A]):
    """A set of pixels for each of K pairs of N windows. Sets that are equal may share a slice."""

    pixels: A  # (M,), int64: flat indices in the window
    start: A  # (N, K), int64: the set of a pair is pixels[start:stop]
    stop: A  # (N, K), likewise


class Matched(NamedTuple, Generic[A]):
    """Optimal matchings of N pairs of diagrams, of K and L columns."""

    partner_a: A  # (N, K), int64: the column of the partner, or -1
    partner_b: A  # (N, L), likewise
    gap: A  # (N,), float64: certified upper bound on the difference of the cost from the optimum


class Costs(NamedTuple, Generic[A]):
    """Costs of N matchings, and their derivatives with respect to births and deaths."""

    cost: A  # (N,)
    slopes_a: A  # (N, 2, K)
    slopes_b: A  # (N, 2, L)


class Pulls(NamedTuple, Generic[A]):
    """How N windows depend on the births and deaths of one dimension, and where these should be."""

    slope: A  # (N, 2, K), the derivatives in births and deaths
    goal: A  # (N, 2, K), the filtration values that births and deaths are pulled to
    index: A  # type: ignore[assignment]  # (N, 2, K), int64: their pixels in the image, negative for none
    count: A  # type: ignore[assignment]  # (N,), int64: the number of columns to read


class Spread(NamedTuple):
    """Which pixels births and deaths take along."""

    rank: int  # of the windows: 2 for images, 3 for volumes
    dim: int  # homology dimension of the pairs
    top: bool  # the construction, as for `Query`
    side: int  # whose windows they are: 0 for those of a prediction, 1 for those of its truth
    normalise: bool  # whether the gradients of a birth or death add up to its slope


class Query(NamedTuple):
    """Which persistence pairs to compute for each window."""

    dims: tuple[int, ...]  # homology dimensions, distinct
    top: bool  # True for the construction T (pixels are top cells), False for V (pixels are vertices)
    min_persistence: float  # only pairs that last longer than this; rounded to the dtype of the windows
    capacity: int | None  # columns of the result; None for as many as there are pairs, or as can occur

    def v_dims(self, rank: int) -> list[int]:
        """Return, for each of `dims`, the dimension of V in which the kernels find its pairs.

        By duality, dimension d of T is dimension rank - 1 - d of V for the negated filtration, with births and deaths
        exchanged.
        """
        return [rank - 1 - dim if self.top else dim for dim in self.dims]


class Comparison(NamedTuple):
    """In which third function the classes of two functions f and g are compared, and which of them are matched."""

    intersection: bool  # whether in the intersections of sublevel sets, those of max(f, g), or in their unions
    on_cells: bool = False  # whether classes whose image is empty are matched, too, in a total order of all cells


class Tiling(NamedTuple):
    """How images or volumes are cut into windows. All sizes are in pixels, one per axis."""

    image: tuple[int, ...]
    window: tuple[int, ...]  # no larger than the image
    stride: tuple[int, ...]  # distance between windows; the last one is shifted inwards to end with the image
    border: bool  # whether each window has a frame one pixel wide

    @classmethod
    def of(cls, image: Sequence[int], window: Sequence[int], stride: Sequence[int], *, border: bool) -> Tiling:
        """Return a tiling from sizes in any sequences, such as the lists of an operator's schema."""
        return cls(tuple(image), tuple(window), tuple(stride), border)

    def counts(self) -> tuple[int, ...]:
        """Return the number of windows along each axis."""
        axes = zip(self.image, self.window, self.stride, strict=True)
        return tuple([-(-(length - size) // stride) + 1 for length, size, stride in axes])

    def windows(self) -> int:
        """Return the number of windows that an image is cut into."""
        return math.prod(self.counts())

    def is_whole(self) -> bool:
        """Return whether each image is one window without a frame."""
        return self.window == self.image and not self.border

    def framed(self) -> tuple[int, ...]:
        """Return the size of a window, including its frame."""
        return tuple([size + 2 * self.border for size in self.window])
