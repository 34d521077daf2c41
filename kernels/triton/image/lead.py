"""Lead: where the gradient of one function leads from the extrema of another one, and the eldest in each basin.

Only extrema count: from any other vertex, a way leads to one that is not younger. A basin without any is represented by
its own extremum, whose class ends before it begins and is left out later.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, OK, STATUS
from ..runtime.jit import kernel
from ..tree import before
from .gradient import ROWS
from .jobs import SIZES, ClassImages, Task, count_extrema, load_extrema, order_of, windows_of
from .trace import extremum_at, step


def lead(task: Task, images: ClassImages, ways: Tensor) -> None:
    """Write `images.eldest` at the extrema of the function that gives the saddles, and initialise what is -1 or a root.

    ways : the paths of its gradient that lead to extrema of the dimension; see `merge.ways_of`.
    """
    saddles, others, *_ = task
    lists = saddles.trees.extrema, others.trees.extrema, saddles.trees.counters, others.trees.counters
    written = images.eldest, images.words, images.named, images.column
    if task.pairs:
        grid = (2 * task.pairs * task.programs,)
        _lead[grid](others.values, ways, *lists, *written, *task.sizes, **task.constants)


@kernel(
    do_not_specialize=SIZES,
    do_not_specialize_on_alignment=["others", "eldest"],
)
def _lead(
    others,  # [windows of others, H, W] float32 or float64
    ways,  # [windows of saddles, strips, W] or [windows of saddles, strips, W + 1] int32; see `trace`
    extrema,  # [windows of saddles, H * W] int32
    other_extrema,  # [windows of others, H * W] int32
    counters,  # [windows of saddles, COUNTERS] int32
    other_counters,  # [windows of others, COUNTERS] int32
    eldest,  # [2 N, H * W] int32, zeros before, written at extrema
    tree,  # [2 N, H * W + 1] int32 or int64, written at extrema, and for the outside: each is a root
    named,  # [2 N, H * W] int32, -1 written at extrema of h if NAME
    column,  # [2 N, H * W + 1] int32, -1 written at extrema of the image, and behind the last pixel
    n,
    height,
    width,
    programs,
    TOP: tl.constexpr,
    DIM: tl.constexpr,
    NAME: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Find the eldest of the other function's extrema in the basins of one job, for a share of both lists of extrema.

    A basin is also claimed by its own extremum, which counts if there is no other. Programs of a job share `eldest`,
    where all accesses are atomic swaps, and write different places of the rest.
    """
    program = tl.program_id(0) % programs
    job = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    pair, window, other = windows_of(job, n, NAME)
    others += other * pixels
    ways += window * (tl.cdiv(height + DIM, ROWS) * (width + DIM))
    extrema += window * pixels
    other_extrema += other * pixels
    eldest += job * pixels
    tree += job * (pixels + 1)
    named += job * pixels
    column += job * (pixels + 1)
    turn, mirror = order_of(TOP, DIM)
    ok = tl.load((other_counters if NAME else counters) + pair * COUNTERS + STATUS) == OK
    n_other = count_extrema(other_counters + other * COUNTERS, ok, DIM)
    n_own = count_extrema(counters + window * COUNTERS, ok, DIM)
    leaves: tl.constexpr = DIM == 0 and TOP
    if program == 0:
        tl.store(tree + pixels, pixels)
        tl.store(column + pixels, -1)
    lane = tl.arange(0, BLOCK)

    for start in range(program * BLOCK, n_other, programs * BLOCK):
        there = start + lane < n_other
        u = load_extrema(other_extrema, start + lane, there, pixels, DIM)
        tl.store((named if NAME else column) + u, -1, mask=there)
        # A maximum, like its square, has the coordinates of its owner here.
        y, x = u // width, u % width
        walks = there
        while tl.max(walks.to(tl.int32), 0) != 0:
            y, x, walks = step(y, x, walks, ways, height + DIM, width + DIM, leaves, False)
        basin = extremum_at(y, x, height, width, TOP, DIM)
        _claim(eldest, basin, u, there & (basin < pixels), others, turn, mirror)

    for start in range(program * BLOCK, n_own, programs * BLOCK):
        there = start + lane < n_own
        u = load_extrema(extrema, start + lane, there, pixels, DIM)
        tl.store(tree + u, u, mask=there)
        if NAME:
            tl.store(column + u, -1, mask=there)
        _claim(eldest, u, u, there, others, turn, mirror)


@triton.jit
def _claim(eldest, basin, u, active, others, turn, mirror):
    """Make u the eldest of its basin, in each active lane, unless an elder one is there.

    A lane swaps its extremum in. If it has taken out an elder one, it goes on with that, and otherwise drops what it
    has taken. The eldest is never dropped, so it stays in the end, whatever the schedule.
    """
    word = u + 1
    while tl.max(active.to(tl.int32), 0) != 0:
        taken = tl.atomic_xchg(eldest + basin, word, mask=active, sem="relaxed")
        active &= taken > 0
        value = tl.load(others + (word - 1), mask=active, other=0.0) * mirror
        value_taken = tl.load(others + (taken - 1), mask=active, other=0.0) * mirror
        active &= before(value_taken, taken, value, word, turn)
        word = tl.where(active, taken, word)
