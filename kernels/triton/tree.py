"""Merge trees: the elder rule over saddles in any order, as triplet merge trees without locks.

Each extremum u has one word, (saddle s, elder v): the class of u merges into that of v at s (Smirnov & Morozov,
Triplet Merge Trees, 2017). A root is its own elder and has no saddle. The words of small windows have 32 bits, those of
others 64. To join u and v at s, climb from each as long as its saddle comes before s. If both arrive at one extremum,
there is nothing to do. Otherwise (s, elder) is swapped into the younger's word; if this displaces a link (s', w), join
w to the elder at s', or to the younger if s' comes before s, because another lane may have written that link meanwhile.

No lock is needed, and no swap can fail: the links in words and in lanes' registers together always connect the same
extrema at every level, so a word stays true after it was read; see kernels/README.md.

Where saddles rise along a path, the tree is a long chain, and climbing it link by link takes quadratic time. Hints are
shortcuts, by which a climb takes a number of steps that grows like the square of the logarithm of the chain's length.
A hint has 64 bits, (saddle, far elder, owner). It states that its owner and that elder are connected by links whose
saddles are not later than the hint's. A link is only ever replaced by links that connect at least as much, so a hint
stays true whatever happens to the links that it was made from. The extrema among each _SHARING successive pixels share
one slot. A hint of 0 is no hint, because pixel 0 cannot be an extremum and own a saddle too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .counters import COUNTERS

_ELDER_BITS = tl.constexpr(15)  # of a word of 32 bits; the saddle has the other 17
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


class Tree(NamedTuple):
    """The merge tree of one window, as kernels take it: pointers, and the order of its saddles and extrema."""

    filtration: Any  # [pixels] float32 or float64
    words: Any  # [pixels + 1] int32 or int64
    hints: Any  # [N, slots] int64
    first_slot: Any  # where the hints of this window begin
    pixels: Any
    turn: Any  # 1 or -1: cells come by value, and then by position times this
    mirror: Any  # 1 or -1, the factor of values


def new_trees(n: int, pixels: int, saddles: int, device: torch.device) -> Trees:
    """Allocate the trees of n windows, whose pixels own up to `saddles` numbers of saddles each.

    Extrema and words are not initialised. Hints and counters are 0, and share memory, so that one launch clears both.
    """
    extrema = torch.empty((n, pixels), dtype=torch.int32, device=device)
    words = torch.empty((n, pixels + 1), dtype=word_type(pixels, saddles * pixels), device=device)
    slots, columns = pixels // _SHARING.value + 1, COUNTERS.value
    zeros = torch.zeros(n * (columns + 2 * slots), dtype=torch.int32, device=device)
    counters = zeros.as_strided((n, columns), (columns, 1))
    hints = zeros.view(torch.int64).as_strided((n, slots), (slots, 1), n * columns // 2)
    return Trees(extrema, words, hints, counters)


def word_type(pixels: int, saddles: int) -> torch.dtype:
    """Return the dtype of words of windows with that number of pixels and a bound on the numbers of their saddles."""
    return torch.int32 if pixels <= _ELDER.value and saddles <= _SADDLE.value else torch.int64


@triton.jit
def unpacked(word):
    """Return the saddle and the elder of words."""
    if word.dtype == tl.int32:
        saddle, elder = (word >> _ELDER_BITS) & _SADDLE, word & _ELDER
    else:
        saddle, elder = (word >> 32).to(tl.int32), word.to(tl.int32)
    return saddle, elder


@triton.jit
def packed(saddle, elder, dtype: tl.constexpr):
    """Return the words of links to an elder at a saddle."""
    return saddle << _ELDER_BITS | elder if dtype == tl.int32 else saddle.to(tl.int64) << 32 | elder.to(tl.int64)


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


@triton.jit
def join(u, v, saddle, value, active, tree, EACH: tl.constexpr, others=None, eldest=None):
    """Take one step in joining the classes of u and v at a saddle of that value, in each active lane.

    A saddle is EACH * owner + direction, and its value is multiplied by the mirror of `tree`, a `Tree`. Returns u,
    v, saddle, value and active for the next step. A lane is done, and not active any more, when it has replaced the
    word of a root, or when u and v are the same, because they were connected before the saddle.

    others : [pixels], if seniority is that of the values of another function. eldest : [pixels] int32, then tells which
    pixel's value decides for each extremum, plus 1.
    """
    values, words, turn, mirror = tree.filtration, tree.words, tree.turn, tree.mirror
    active &= u != v
    # Volatile, so that each step reads what others have written, and not a copy in a cache or a register.
    t_u = tl.load(words + u, mask=active, other=0, volatile=True)
    t_v = tl.load(words + v, mask=active, other=0, volatile=True)
    s_u, elder_u = unpacked(t_u)
    s_v, elder_v = unpacked(t_v)
    linked_u, linked_v = active & (elder_u != u), active & (elder_v != v)
    value_u = tl.load(values + _owner(s_u, EACH), mask=linked_u, other=0.0) * mirror
    value_v = tl.load(values + _owner(s_v, EACH), mask=linked_v, other=0.0) * mirror
    climb_u = linked_u & before(value_u, s_u, value, saddle, turn)
    climb_v = linked_v & before(value_v, s_v, value, saddle, turn)

    # If neither climbs, link the younger of the two. The outside is the eldest of all.
    ready = active & (climb_u == 0) & (climb_v == 0)
    m_u, m_v = ready & (u < tree.pixels), ready & (v < tree.pixels)
    if others is None:
        f_u = tl.load(values + u, mask=m_u, other=0.0) * mirror
        f_v = tl.load(values + v, mask=m_v, other=0.0) * mirror
        v_comes_first = before(f_v, v, f_u, u, turn)
    else:
        of_u = tl.load(eldest + u, mask=m_u, other=1) - 1
        of_v = tl.load(eldest + v, mask=m_v, other=1) - 1
        f_u = tl.load(others + of_u, mask=m_u, other=0.0) * mirror
        f_v = tl.load(others + of_v, mask=m_v, other=0.0) * mirror
        v_comes_first = before(f_v, of_v, f_u, of_u, turn)
    v_is_elder = (v == tree.pixels) | ((u != tree.pixels) & v_comes_first)
    elder, younger = tl.where(v_is_elder, v, u), tl.where(v_is_elder, u, v)
    word = tl.where(v_is_elder, t_u, t_v)
    taken = tl.atomic_xchg(words + younger, packed(saddle, elder, word.dtype), mask=ready, sem="relaxed")
    s_taken, elder_taken = unpacked(taken)
    linked = ready & (elder_taken != younger)
    # Go on with the link that was displaced. Its value is known, unless another lane has replaced it meanwhile.
    m_other = linked & (taken != word)
    value_taken = tl.load(values + _owner(s_taken, EACH), mask=m_other, other=0.0) * mirror
    value_taken = tl.where(m_other, value_taken, tl.where(v_is_elder, value_u, value_v))
    is_earlier = linked & before(value_taken, s_taken, value, saddle, turn)
    u = tl.where(ready, tl.where(is_earlier, younger, elder), tl.where(climb_u, elder_u, u))
    v = tl.where(ready, elder_taken, tl.where(climb_v, elder_v, v))
    saddle, value = tl.where(ready, s_taken, saddle), tl.where(ready, value_taken, value)
    return u, v, saddle, value, (active & (ready == 0) | linked) & (u != v)


@triton.jit
def climb(u, saddle, value, active, tree, EACH: tl.constexpr):
    """Climb from u as long as links come before a saddle of that value, in each active lane, and leave hints.

    The hints form a skip list. Each extremum has a random rank, and its hint grows until it leads to the next extremum
    of a higher rank: after the hops from x to u and from u to its elder, the hint of x joins both if u ranks lower. Of
    the extrema that share a slot, the one with the highest rank gets it. Relaxed swaps are enough, because every hint
    is true, whichever lane was the last to write it.
    """
    values, words, hints, turn, mirror = (
        tree.filtration,
        tree.words,
        tree.hints + tree.first_slot,
        tree.turn,
        tree.mirror,
    )
    # The last hop was from x to u, -1 before the first. If x began as u, Triton would consider it constant in the loop.
    x = tl.full(u.shape, -1, tl.int32)
    rank_x, saddle_x, value_x = rank(x), saddle, value
    while tl.max(active.to(tl.int32), 0) != 0:
        next_saddle, elder = unpacked(tl.load(words + u, mask=active, other=0, volatile=True))
        hint = tl.load(hints + slot_of(u), mask=active, other=0, volatile=True)
        far_saddle, far_elder, owner = unpacked_hint(hint, u)
        m_far = active & (owner == u)
        far_value = tl.load(values + _owner(far_saddle, EACH), mask=m_far, other=0.0) * mirror
        m_far &= before(far_value, far_saddle, value, saddle, turn)
        m_near = active & (m_far == 0) & (elder != u)
        next_value = tl.load(values + _owner(next_saddle, EACH), mask=m_near, other=0.0) * mirror
        m_near &= before(next_value, next_saddle, value, saddle, turn)
        active = m_far | m_near
        elder, next_saddle = tl.where(m_far, far_elder, elder), tl.where(m_far, far_saddle, next_saddle)
        next_value = tl.where(m_far, far_value, next_value)

        rank_u = rank(u)
        m_hint = active & (x >= 0) & (rank_u < rank_x)
        _, _, owner = unpacked_hint(tl.load(hints + slot_of(x), mask=m_hint, other=0, volatile=True), x)
        m_hint &= (owner < 0) | (rank(owner) <= rank_x)
        x_is_later = before(next_value, next_saddle, value_x, saddle_x, turn)
        hint = packed_hint(tl.where(x_is_later, saddle_x, next_saddle), elder, x)
        tl.atomic_xchg(hints + slot_of(x), hint, mask=m_hint, sem="relaxed")

        x, rank_x, saddle_x, value_x = u, rank_u, next_saddle, next_value
        u = tl.where(active, elder, u)
    return u


@triton.jit
def _owner(saddle, EACH: tl.constexpr):
    """Return the owners of saddles. The division is unsigned, so that it is a shift where EACH is a power of two."""
    return (saddle.to(tl.uint32) // EACH).to(tl.int32)


@triton.jit
def before(value_a, a, value_b, b, turn):
    """Return whether a comes before b: by value, then by position times `turn`."""
    return (value_a < value_b) | ((value_a == value_b) & (a * turn < b * turn))
