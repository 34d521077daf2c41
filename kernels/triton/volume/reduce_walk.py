"""Walks: all paths of the gradient from critical squares to critical edges, one edge per lane.

A path goes from an edge to the square that the edge is matched with, and on to each of the square's other edges. It
ends at a critical edge, or at an edge that is matched with its vertex and leads nowhere. Two paths that have come to
the same edge cancel, because they go on alike.

Paths rarely meet, so they are compared only where there are more of them than lanes. Then, only those go on whose edges
are later than the average; the others wait for paths that may still reach them. Otherwise, in some data, the number of
steps would grow exponentially with the length of the paths.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .reduce_chain import word_of
from .reduce_flow import directions_of, far_edges, match, owner_of, partner_of, unless_with_vertex

LANES = 32  # paths that go on at a time
COLUMNS = tl.constexpr(4)  # that a program takes at a time, at most
# The bits of a word that tell them apart, and the most voxels whose numbers leave room for these bits. In larger
# volumes, a program takes one column at a time, and words have no tag.
TAG, TAGS, TAGGED = tl.constexpr(30), tl.constexpr(-1 << 30), tl.constexpr(2**26)
_PATHS = 128  # at a time, at most, and critical edges at their ends; real data have less than 100
_QUEUE = _PATHS + 3 * LANES  # as each path may branch into three
PATHS, QUEUE = tl.constexpr(_PATHS), tl.constexpr(_QUEUE)
KEPT = tl.constexpr(64)  # critical edges at most when equal ones are dropped
SCRATCH = 2 * _QUEUE + 256 + 2 * _PATHS  # words of a program; see `Scratch`
_PERIOD = tl.constexpr(4)  # turns with more paths than lanes after which equal ones are dropped
_HALF = tl.constexpr(0xFFFF)


class Scratch(NamedTuple):
    """Pointers to the scratch memory of a program. An edge is a word, see `reduce_chain.word_of`, with a tag."""

    paths: Any  # [2, QUEUE] int32: the edges where the paths are in this turn, and in the next
    last: Any  # [256] int32: by hash, the last edge that was there, and the time
    odd: Any  # [PATHS] int32: 1 for edges that are equal to an odd number of others, else 0
    ends: Any  # [PATHS] int32: critical edges
    tags: Any  # mask of the tags in words, 0 if there are none
    owners: Any  # mask of the owners in words that are shifted by 4


@triton.jit
def walk(
    first, size, time, scratch, squares, opened, volume, TOP: tl.constexpr, LANES: tl.constexpr, TURNS: tl.constexpr
):
    """Follow all paths from the squares of some columns to their ends, which are left in `scratch.ends`.

    Returns the number of ends, the time, and whether there were more paths, ends or turns than are allowed.
    """
    lane = tl.arange(0, LANES)
    m_path = lane < size
    m_path &= tl.load(opened + first + lane, mask=m_path, other=1) == 0
    square = tl.load(squares + first + lane, mask=m_path, other=0)
    tag = lane << TAG
    v = owner_of(square)
    p, q = directions_of(square)
    star_v = tl.load(volume.star + v, mask=m_path, other=0)
    m_p = m_path & (unless_with_vertex(star_v, p) != 0)
    i = tl.cumsum(m_p.to(tl.int32), 0) - m_p.to(tl.int32)
    waiting = tl.sum(m_p.to(tl.int32), 0)
    tl.store(scratch.paths + i, word_of(v, p) | tag, mask=m_p)
    n, n_ends = _go_on(v, p, q, star_v, tag, m_path, lane < 0, waiting, scratch.paths, scratch.ends, tag, volume, TOP)
    tl.debug_barrier()  # other threads read the paths
    turns, crowded = 0, 0
    most = tl.where(size > 1, 2 * LANES, PATHS)  # columns with many paths are better off alone
    here, there = 0, QUEUE  # the queues of this turn and of the next
    spills = n < 0
    while n > 0:
        waiting, ready = 0, n
        if n > LANES:
            if (crowded % _PERIOD == 0) | (n > PATHS - LANES):
                time += 1
                n = _drop_pairs(scratch.paths + here, n, time, scratch)
            crowded += 1
            ready, waiting = _choose(here, there, n, scratch, volume.value, TOP, LANES)
        m_path = lane < ready
        word = tl.load(scratch.paths + here + lane, mask=m_path, other=0)
        v, p, tag = (word >> 4) & scratch.owners, (word & 0xF) * 2, word & scratch.tags
        edge = 1 << p
        star_v = tl.load(volume.star + v, mask=m_path, other=0)
        east, west, south, north, above, _, critical = match(star_v)
        q = partner_of(edge, east, west, south, north, above)
        m_end = (edge & critical) != 0
        m_on = m_path & (m_end == 0)
        out, p_ends = scratch.paths + there, scratch.ends + n_ends
        n, ended = _go_on(v, p, q, star_v, tag, m_on, m_end & m_path, waiting, out, p_ends, word, volume, TOP)
        n_ends += ended
        turns += 1
        spills |= (n > most) | (turns > TURNS)
        n = tl.where(spills, 0, n)
        here, there = QUEUE - here, QUEUE - there
        tl.debug_barrier()  # other threads read the paths and the ends
        if (n_ends > PATHS - LANES) | ((n == 0) & (n_ends > KEPT)):
            time += 1
            n_ends = _drop_pairs(scratch.ends, n_ends, time, scratch)
            spills |= n_ends > KEPT
            n = tl.where(spills, 0, n)
    return n_ends, time, spills


@triton.jit
def _go_on(v, p, q, star_v, tag, m_on, m_end, n, p_paths, p_ends, word, volume, TOP: tl.constexpr):
    """Append the edges that paths go on to, to a queue of n: the other edges of the squares that v spans with p and q.

    An edge (v, p) is matched with its square along q. Returns the number of paths in the queue, and of those that end
    here, whose words are stored too.
    """
    a, direction_a, m_a, b, direction_b, m_b = far_edges(v, p, q, m_on, volume, TOP)
    m_q = m_on & (unless_with_vertex(star_v, q) != 0)
    # Two counts in one word, so that one scan is enough.
    sizes = m_q.to(tl.int32) + m_a.to(tl.int32) + m_b.to(tl.int32) + tl.where(m_end, 1 << 16, 0)
    before = tl.cumsum(sizes, 0) - sizes
    sizes = tl.sum(sizes, 0)
    tl.store(p_ends + (before >> 16), word, mask=m_end)
    i = n + (before & _HALF)
    tl.store(p_paths + i, word_of(v, q) | tag, mask=m_q)
    i += m_q.to(tl.int32)
    tl.store(p_paths + i, word_of(a, direction_a) | tag, mask=m_a)
    i += m_a.to(tl.int32)
    tl.store(p_paths + i, word_of(b, direction_b) | tag, mask=m_b)
    return n + (sizes & _HALF), sizes >> 16


@triton.jit
def _drop_pairs(p_words, n, time, scratch):
    """Drop equal edges in pairs among n at a pointer, and return how many are left.

    Equal edges agree on a rival: the last edge with their hash, if it is equal to them. If it is not, they all stay,
    which does no harm. As time only grows, `last` need not be cleared.
    """
    i = tl.arange(0, PATHS)
    there = i < n
    if time == 1:
        tl.store(scratch.last + tl.arange(0, 256), 0)
        tl.debug_barrier()  # other threads replace the zeros
    word = tl.load(p_words + i, mask=there, other=0)
    p_last = scratch.last + ((word.to(tl.uint32) * 0x9E3779B1) >> 24).to(tl.int32)
    tl.atomic_max(p_last, time * PATHS + i, mask=there, sem="relaxed")
    tl.store(scratch.odd + i, 0)
    tl.debug_barrier()  # all edges have been there
    rival = tl.load(p_last, mask=there, other=0, volatile=True) - time * PATHS
    equal = there & (rival != i) & (tl.load(p_words + rival, mask=there, other=0) == word)
    tl.atomic_xor(scratch.odd + rival, 1, mask=equal, sem="relaxed")
    tl.debug_barrier()  # all equal edges have been counted, and all threads have read the words
    left = there & (equal == 0) & (tl.load(scratch.odd + i, mask=there, other=0, volatile=True) == 0)
    sizes = left.to(tl.int32)
    tl.store(p_words + tl.cumsum(sizes, 0) - sizes, word, mask=left)
    tl.debug_barrier()  # other threads read the words
    return tl.sum(sizes, 0)


@triton.jit
def _choose(here, there, n, scratch, values, TOP: tl.constexpr, LANES: tl.constexpr):
    """Move up to LANES of the later of n paths to the front of their queue, and the others to the next queue.

    Returns the number of paths that go on and of those that wait.
    """
    i = tl.arange(0, PATHS)
    m_path = i < n
    word = tl.load(scratch.paths + here + i, mask=m_path, other=0)
    # The average is not a number if there are infinities of both signs: then all are taken to be late.
    value = tl.load(values + (word >> 4 & scratch.owners), mask=m_path, other=0.0)
    average = tl.sum(value, 0) / tl.maximum(n, 1)
    m_late = m_path & ((value <= average) if TOP else (value >= average))
    m_late = m_path & (m_late | (tl.max(m_late.to(tl.int32), 0) == 0))
    before = tl.cumsum(m_late.to(tl.int32), 0) - m_late.to(tl.int32)
    m_go = m_late & (before < LANES)
    ready = tl.minimum(tl.sum(m_late.to(tl.int32), 0), LANES)
    tl.debug_barrier()  # all threads have read the queue
    tl.store(scratch.paths + here + before, word, mask=m_go)
    tl.store(scratch.paths + there + i - tl.minimum(before, LANES), word, mask=m_path & (m_go == 0))
    tl.debug_barrier()  # other threads read the queue
    return ready, n - ready
