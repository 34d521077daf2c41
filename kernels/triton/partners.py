"""Partners: the pairs of two images, and which of them become the same class of a third one: every launch, in order.

As in `image.persistence`, nothing here reads what a kernel has computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton.language as tl
from torch import Tensor

from ..records import Found, Pairs, Query, Tiling
from .image.gradient import gradient
from .image.induced import merge_images
from .image.jobs import Function, Task
from .image.link import link
from .image.merge import merge, ways_of
from .image.persistence import persistence
from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, cdiv
from .windows import copy_windows

_BLOCK = 4096 if INTERPRETED else 512  # pixels that a program compares


def matched_persistence(
    images: tuple[Tensor, Tensor, Tensor | None], tiling: Tiling, query: Query, *, intersection: bool
) -> tuple[Found[Tensor], list[tuple[Tensor, Tensor]]]:
    """Compute and match the persistence pairs of the windows of two images; see `gpuph.ops.matched_persistence`.

    Volumes have no kernels yet.
    """
    pred, target, height = (None if x is None else x.contiguous() for x in images)
    assert pred is not None and target is not None
    x = copy_windows(pred, target, height, tiling)
    found = persistence(x, query, None if tiling.is_whole() else tiling)
    return found, _partners(x, tiling, query, found.pairs, intersection)


def _partners(
    x: Tensor, tiling: Tiling, query: Query, pairs: Sequence[Pairs[Tensor]], intersection: bool
) -> list[tuple[Tensor, Tensor]]:
    """Match the persistence pairs of windows, (2 N, *window).

    Gradients are computed anew, because keeping them from `persistence` until they are needed would take more memory.
    At the peak, there are about 80 bytes of memory per pixel of the 2 N windows.
    """
    h = _compared(x, intersection)
    own, both = (Function(values, *gradient(values, query.top)) for values in (x, h))
    greater = query.top != intersection  # in T, the order is that of the negated images
    found = []
    for dim, of_dim in zip(query.v_dims(2), pairs, strict=True):
        # The saddles are those of the function whose order ends the image classes of minima, or begins those of maxima.
        saddles, others = (both, own) if greater == (dim == 1) else (own, both)
        task = Task(saddles, others, query.top, dim, query.min_persistence)
        values, gradients, trees = task.saddles
        ways = ways_of(gradients, values.shape[1], dim)
        merge(values, gradients, trees, query.top, (dim,), ways)
        found.append(link(task, merge_images(task, ways), of_dim, tiling))
    return found


def _compared(x: Tensor, intersection: bool) -> Tensor:
    """Return the minima of the windows of two images, (2 N, *window), or the maxima for an intersection."""
    n, pixels = len(x) // 2, x.shape[1:].numel()
    h, blocks = x.new_empty((n, *x.shape[1:])), cdiv(pixels, _BLOCK)
    if n:
        _compare[(n * blocks,)](x, h, n, pixels, blocks, MAX=intersection, BLOCK=_BLOCK, num_warps=4)
    return h


@kernel(do_not_specialize=["n", "pixels", "blocks"], do_not_specialize_on_alignment=["x", "h"])
def _compare(
    x,  # [2 N, pixels] float32 or float64
    h,  # [N, pixels] likewise, written
    n,
    pixels,
    blocks,
    MAX: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write a block of one window of h: the lesser of two values, or the greater one if MAX, or NaN if one is NaN."""
    window = (tl.program_id(0) // blocks).to(tl.int64)
    i = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    f = tl.load(x + window * pixels + i, mask=i < pixels)
    g = tl.load(x + (window + n) * pixels + i, mask=i < pixels)
    first = f > g if MAX else f < g
    tl.store(h + window * pixels + i, tl.where(first | (f != f), f, g), mask=i < pixels)
