"""Jobs of an induced matching: its functions and memory, and what its kernels have in common; see `induced`.

A job is one window of one of the two images, 2 N in all, those of the first image first. Either its own function f
gives the saddles and the compared one h the seniority (NAME), or vice versa. A window pair has a NaN if and only if its
window of h has one, and then has no extrema for the kernels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import MAXIMA, MINIMA
from ..runtime.launch import INTERPRETED, WARP, cdiv
from ..tree import Trees
from .gradient import Gradient

_BLOCK = 1024 if INTERPRETED else WARP  # extrema that a program takes at a time, one per lane
_PIXELS_PER_PROGRAM = 16 * _BLOCK  # a program with more extrema than lanes takes them in turn
SIZES = ["n", "height", "width", "programs"]


class Function(NamedTuple):
    """Windows of a function, with their gradients and merge trees."""

    values: Tensor  # (N, H, W)
    found: Gradient
    trees: Trees


class Task(NamedTuple):
    """The functions of an induced matching in one dimension of V."""

    saddles: Function  # that whose saddles join: of the 2 N windows of both images, or of the N windows of h
    others: Function  # that whose seniority counts: of the N windows of h, or of the 2 N windows of both images
    top: bool
    dim: int
    min_persistence: float  # of image classes

    @property
    def name(self) -> bool:
        """Whether the saddles are those of the images."""
        return len(self.saddles.values) > len(self.others.values)

    @property
    def pairs(self) -> int:
        """The number N of window pairs."""
        return min(len(self.saddles.values), len(self.others.values))

    @property
    def programs(self) -> int:
        """The number of programs for each window."""
        return cdiv(self.saddles.trees.extrema.shape[1], _PIXELS_PER_PROGRAM)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments with which most kernels begin."""
        (values, _, trees), others = self.saddles, self.others
        return values, others.values, trees.extrema, trees.words, trees.counters, others.trees.counters

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """The sizes that all kernels take: SIZES."""
        _, height, width = self.saddles.values.shape
        return self.pairs, height, width, self.programs

    @property
    def constants(self) -> dict[str, int]:
        """The constants of all kernels, and their launch options."""
        return {"TOP": self.top, "DIM": self.dim, "NAME": self.name, "BLOCK": _BLOCK, "num_warps": 1}


class ClassImages(NamedTuple):
    """Memory for the images of classes in each of the 2 N jobs: their merge tree, and what they are linked to."""

    hints: Tensor  # (2 N, slots) int64
    eldest: Tensor  # (2 N, P) int32: for an extremum, the eldest of the other function in its basin, plus 1
    joined: Tensor  # (windows of saddles, P / 8) int32: 4 bits per owner, those of the saddles that join; zeros before
    words: Tensor  # (2 N, P + 1) int32 or int64: the merge tree
    named: Tensor  # (2 N, P) int32 if NAME: for each extremum of h, that of the image; -1 before
    column: Tensor  # (2 N, P + 1) int32: of an extremum of an image and, at the end, of the essential class; -1 before

    @classmethod
    def of(cls, task: Task) -> ClassImages:
        """Allocate memory. One launch clears what has to be 0; `lead` writes the -1."""
        words = task.saddles.trees.words
        n, pixels, device = task.pairs, words.shape[1] - 1, words.device
        slots, eighths = task.saddles.trees.hints.shape[1], cdiv(pixels, 8)
        sizes = 4 * n * slots, 2 * n * pixels, len(words) * eighths
        hints, eldest, joined = torch.zeros(sum(sizes), dtype=torch.int32, device=device).split(sizes)
        return cls(
            hints.view(torch.int64).view(2 * n, slots),
            eldest.view(2 * n, pixels),
            joined.view(len(words), eighths),
            words.new_empty((2 * n, pixels + 1)),
            torch.empty((2 * n if task.name else 0, pixels), dtype=torch.int32, device=device),
            torch.empty((2 * n, pixels + 1), dtype=torch.int32, device=device),
        )


@triton.jit
def windows_of(job, n, NAME: tl.constexpr):
    """Return the number of a job's window pair, its window of the saddles, and that of the other function."""
    pair = job % n
    return pair, job if NAME else pair, pair if NAME else job


@triton.jit
def order_of(TOP: tl.constexpr, DIM: tl.constexpr):
    """Return the turn and the mirror of `Tree`: values are reversed in T and for maxima, positions for maxima."""
    turn: tl.constexpr = 1 - 2 * DIM
    mirror: tl.constexpr = -turn if TOP else turn
    return turn, mirror


@triton.jit
def count_extrema(counters, ok, DIM: tl.constexpr):
    """Return how many extrema a window has, 0 if it is not ok."""
    return tl.where(ok, tl.load(counters + (MINIMA if DIM == 0 else MAXIMA)), 0)


@triton.jit
def load_extrema(extrema, i, there, pixels, DIM: tl.constexpr):
    """Return extrema i of a window's list, which has the minima in front and the maxima at the back."""
    return tl.load(extrema + (i if DIM == 0 else pixels - 1 - i), mask=there, other=0)
