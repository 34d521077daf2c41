"""Merge trees: one word for each extremum, and hints, which are shortcuts for long climbs.

The word of an extremum holds the saddle at which its class ends, and the elder extremum that the class merges into. A
root is its own elder and has no saddle. The words of small windows have 32 bits, those of others 64.

A hint has 64 bits, (saddle, far elder, owner), and states that its owner and that elder are connected by links whose
saddles are not later than this one. A link is only ever replaced by links that connect at least as much, so a hint
stays true whatever happens to the links that it was made from. The extrema among each _SHARING successive pixels share
one slot. A hint of 0 is no hint, because pixel 0 cannot be an extremum and own a saddle too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .counters import COUNTERS

_LOW = tl.constexpr(15)  # bits of the elder in a word of 32 bits; the saddle has the other 17
_ELDER, _SADDLE = tl.constexpr(2**15 - 1), tl.constexpr(2**17 - 1)
# Bits of a hint: the position of its owner among those that share the slot, and the elder; the saddle has the other 31.
_LOG_SHARING, _LOG_ELDER = tl.constexpr(4), tl.constexpr(29)
_SHARING = tl.constexpr(16)


class Trees(NamedTuple):
    """The merge trees of N windows of P pixels or voxels, with the counters of the windows."""

    extrema: Tensor  # (N, P) int32: flat indices of minima, from the front, and of owners of maxima, from the back
    words: Tensor  # (N, P + 1) int32 or int64: at each extremum its word and, in the last column, that of the outside
    hints: Tensor  # (N, slots) int64
    counters: Tensor  # (N, COUNTERS) int32; see `counters`


def new_trees(n: int, pixels: int, saddles: int, device: torch.device) -> Trees:
    """Allocate the trees of n windows, whose pixels own up to `saddles` numbers of saddles each.

    Extrema and words are not initialised. Hints and counters are 0, and share memory, so that one launch clears both.
    """
    extrema = torch.empty((n, pixels), dtype=torch.int32, device=device)
    words = torch.empty((n, pixels + 1), dtype=word_type(pixels, saddles * pixels), device=device)
    slots = pixels // _SHARING.value + 1
    zeros = torch.zeros(n * (COUNTERS.value + 2 * slots), dtype=torch.int32, device=device)
    counters, hints = zeros.split([n * COUNTERS.value, 2 * n * slots])
    return Trees(extrema, words, hints.view(torch.int64).view(n, slots), counters.view(n, COUNTERS.value))


def word_type(pixels: int, saddles: int) -> torch.dtype:
    """Return the dtype of words of windows with that number of pixels and a bound on the numbers of their saddles."""
    return torch.int32 if pixels <= _ELDER.value and saddles <= _SADDLE.value else torch.int64


@triton.jit
def unpacked(word):
    """Return the saddle and the elder of words."""
    if word.dtype == tl.int32:
        saddle, elder = (word >> _LOW) & _SADDLE, word & _ELDER
    else:
        saddle, elder = (word >> 32).to(tl.int32), word.to(tl.int32)
    return saddle, elder


@triton.jit
def packed(saddle, elder, dtype: tl.constexpr):
    """Return the words of links to an elder at a saddle."""
    return saddle << _LOW | elder if dtype == tl.int32 else saddle.to(tl.int64) << 32 | elder.to(tl.int64)


@triton.jit
def slot_of(u):
    """Return the slots of extrema among those of their window."""
    return u >> _LOG_SHARING


@triton.jit
def slots_of(pixels):
    """Return how many slots a window has; the outside, whose number is `pixels`, has one too."""
    return slot_of(pixels) + 1


@triton.jit
def unpacked_hint(hint, u):
    """Return the saddle, far elder and owner of hints from the slots of extrema u; the owner of no hint is -1."""
    saddle, elder = (hint >> 33).to(tl.int32) & 0x7FFFFFFF, hint.to(tl.int32) & ((1 << _LOG_ELDER) - 1)
    owner = u - u % _SHARING + ((hint >> _LOG_ELDER).to(tl.int32) & (_SHARING - 1))
    return saddle, elder, tl.where(hint == 0, -1, owner)


@triton.jit
def packed_hint(saddle, elder, owner):
    """Return the hints of owners."""
    return saddle.to(tl.int64) << 33 | (owner % _SHARING).to(tl.int64) << _LOG_ELDER | elder.to(tl.int64)


@triton.jit
def rank(u):
    """Return the ranks of extrema: numbers that look random, of which no two are equal.

    The constants are those of the hash xxHash32. Both steps, a product with an odd number and a xor with higher bits,
    can be undone, hence different extrema get different ranks.
    """
    mixed = u.to(tl.uint32) * 0x9E3779B1
    mixed ^= mixed >> 15
    return mixed * 0x85EBCA77
