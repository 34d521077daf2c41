"""The words of merge trees: of an extremum, the saddle at which its class ends, and the elder that it merges into.

A root is its own elder, and has no saddle. Small windows have words of 32 bits.

Hints are shortcuts for long climbs. A hint is a word of 64 bits, (saddle, far elder, owner), which states that its
owner and that elder are connected by links whose saddles are not later than that one. Links are only ever replaced by
others that connect as much, so a hint stays true, whatever becomes of the links it came from. The extrema among each
_SHARING successive pixels share one slot. 0 is no hint: pixel 0 cannot be an extremum and own a saddle.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_LOW = tl.constexpr(15)  # bits of the elder in a word of 32 bits; the saddle has the others
_ELDER, _SADDLE = tl.constexpr(2**15 - 1), tl.constexpr(2**17 - 1)
# Bits of a hint: the place of its owner among those that share the slot, and the elder; the saddle has the other 31.
_LOG_SHARING, _LOG_ELDER = tl.constexpr(4), tl.constexpr(29)
_SHARING = tl.constexpr(16)


def empty_trees(n: int, pixels: int, each: int, device: torch.device) -> Tensor:
    """Trees of n windows, (n, pixels + 1), the last place for the outside; a pixel owns up to `each` saddles."""
    short = pixels <= _ELDER.value and each * pixels <= _SADDLE.value
    return torch.empty((n, pixels + 1), dtype=torch.int32 if short else torch.int64, device=device)


def zero_counters(n: int, counters: int, pixels: int, device: torch.device) -> Tensor:
    """Counters of n windows, (n, counters), int32 zeros, with memory behind them for hints, zeros too.

    They are one tensor so that one launch fills it.
    """
    zeros = torch.zeros(n * (counters + 2 * _slots(pixels)), dtype=torch.int32, device=device)
    return zeros[: n * counters].view(n, counters)


def hints_behind(counters: Tensor, pixels: int) -> Tensor:
    """The hints, (n, slots), int64, in the memory behind counters that `zero_counters` made for that many pixels."""
    n, slots = len(counters), _slots(pixels)
    return counters.as_strided((n, 2 * slots), (2 * slots, 1), counters.numel()).view(torch.int64)


def _slots(pixels: int) -> int:
    return pixels // _SHARING.value + 1


@triton.jit
def unpacked(word):
    """The saddle and the elder of words."""
    if word.dtype == tl.int32:
        saddle, elder = (word >> _LOW) & _SADDLE, word & _ELDER
    else:
        saddle, elder = (word >> 32).to(tl.int32), word.to(tl.int32)
    return saddle, elder


@triton.jit
def packed(saddle, elder, dtype: tl.constexpr):
    """Words of links at a saddle to an elder."""
    return saddle << _LOW | elder if dtype == tl.int32 else saddle.to(tl.int64) << 32 | elder.to(tl.int64)


@triton.jit
def slot_of(u):
    """The slot of extrema among those of their window."""
    return u >> _LOG_SHARING


@triton.jit
def slots_of(pixels):
    """How many slots a window has; the outside, whose number is that of pixels, has one too."""
    return slot_of(pixels) + 1


@triton.jit
def unpacked_hint(hint, u):
    """The saddle, the far elder and the owner of hints from the slots of extrema u; the owner is -1 for no hint."""
    saddle, elder = (hint >> 33).to(tl.int32) & 0x7FFFFFFF, hint.to(tl.int32) & ((1 << _LOG_ELDER) - 1)
    owner = u - u % _SHARING + ((hint >> _LOG_ELDER).to(tl.int32) & (_SHARING - 1))
    return saddle, elder, tl.where(hint == 0, -1, owner)


@triton.jit
def packed_hint(saddle, elder, owner):
    """Hints of their owners."""
    return saddle.to(tl.int64) << 33 | (owner % _SHARING).to(tl.int64) << _LOG_ELDER | elder.to(tl.int64)


@triton.jit
def rank(u):
    """A number of each extremum that looks random and is different for all."""
    mixed = u.to(tl.uint32) * 0x9E3779B1
    mixed ^= mixed >> 15
    return mixed * 0x85EBCA77
