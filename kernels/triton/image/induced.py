"""Induced matching: which classes of two images become the same class of a third one; see `kernels/cpu/induced.py`.

Image classes are found in a second merge tree. Its nodes are the extrema of the function whose saddles join them, and
its links are made from those of the function's own tree, which connect the same extrema at every saddle. But the
seniority of a node is that of the eldest extremum of the other function in its basin. So nothing is traced again, and
saddles that join nothing are left out.
"""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, OK, STATUS
from ..runtime.jit import kernel
from ..tree import Tree, climb, join, slots_of, unpacked
from .gradient import EACH, EACH_LOG2
from .jobs import SIZES, ClassImages, Task, count_extrema, load_extrema, order_of, windows_of
from .lead import lead

_PATIENCE = tl.constexpr(32)  # steps of a block before it takes hints, and one more for each 8 links of its share


def merge_images(task: Task, ways: Tensor) -> ClassImages:
    """Grow the merge trees of image classes, after the own trees of the function that gives the saddles.

    ways : see `lead`.
    """
    images = ClassImages.of(task)
    lead(task, images, ways)
    if task.pairs:
        changed = images.eldest, images.words, images.hints
        grid = (2 * task.pairs * task.programs,)
        _merge_images[grid](*task.inputs, *changed, *task.sizes, **task.constants)
    return images


@kernel(
    do_not_specialize=SIZES,
    do_not_specialize_on_alignment=["values", "others", "eldest"],
)
def _merge_images(
    values,  # [windows of saddles, H, W] float32 or float64
    others,  # [windows of others, H, W] likewise
    extrema,  # [windows of saddles, H * W] int32
    own_tree,  # [windows of saddles, H * W + 1] int32 or int64
    counters,  # [windows of saddles, COUNTERS] int32
    other_counters,  # [windows of others, COUNTERS] int32
    eldest,  # [2 N, H * W] int32
    tree,  # [2 N, H * W + 1] int32 or int64, changed
    hints,  # [2 N, slots] int64, zeros before, changed
    n,
    height,
    width,
    programs,
    TOP: tl.constexpr,
    DIM: tl.constexpr,
    NAME: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Merge a share of the links of one window's own tree into the tree of a job.

    Programs share nothing but `tree` and `hints`, by volatile reads and atomic swaps; see the kernel of `merge`.
    """
    job = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    pair, window, other = windows_of(job, n, NAME)
    values += window * pixels
    others += other * pixels
    extrema += window * pixels
    own_tree += window * (pixels + 1)
    eldest += job * pixels
    tree += job * (pixels + 1)
    turn, mirror = order_of(TOP, DIM)
    ok = tl.load((other_counters if NAME else counters) + pair * COUNTERS + STATUS) == OK
    n_own = count_extrema(counters + window * COUNTERS, ok, DIM)
    share = tl.maximum(tl.cdiv(n_own, programs), BLOCK)  # whole blocks where there are few links
    head = tl.program_id(0) % programs * share
    end = tl.minimum(head + share, n_own)

    i = head + tl.arange(0, BLOCK) - BLOCK
    u = tl.zeros((BLOCK,), tl.int32)
    v, saddle = u, u
    value = tl.zeros((BLOCK,), values.dtype.element_ty)
    active = u != 0
    first_slot = tl.program_id(0) // programs * slots_of(pixels)  # 32 bits, to save registers
    of_job = Tree(values, tree, hints, first_slot, pixels, turn, mirror)
    patience = _PATIENCE + ((end - head) >> 3)
    busy = tl.where(head < end, 2, 0)  # 2 while a lane can take another link, 1 while only joins are left
    while busy != 0:
        if busy == 2:
            m_next = (active == 0) & (i + BLOCK < end)
            i = tl.where(m_next, i + BLOCK, i)
            own = load_extrema(extrema, i, m_next, pixels, DIM)
            own_saddle, elder = unpacked(tl.load(own_tree + own, mask=m_next, other=0))
            u, v, saddle = tl.where(m_next, own, u), tl.where(m_next, elder, v), tl.where(m_next, own_saddle, saddle)
            own_value = tl.load(values + (own_saddle >> EACH_LOG2), mask=m_next & (own != elder), other=0.0) * mirror
            value = tl.where(m_next, own_value, value)
            active |= m_next & (own != elder)
        patience -= 1
        if patience < 0:
            u = climb(u, saddle, value, active, of_job, EACH)
            v = climb(v, saddle, value, active, of_job, EACH)
        u, v, saddle, value, active = join(u, v, saddle, value, active, of_job, EACH, others, eldest)
        busy = tl.max(tl.where(active, 1, tl.where(i + BLOCK < end, 2, 0)), 0)
