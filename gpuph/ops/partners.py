"""`partners`: the pairs of two diagrams whose classes become the same class of a third function."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Comparison, Pairs, Query, Tiling

from . import backend
from .backend import array, by_triton, current_device, tensor
from .cpu_kernels import cpu
from .define import define
from .persistence import check_cells, rounded

Flat = tuple[list[Tensor], list[Tensor]]


def _fake(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    min_persistence: float,
    intersection: bool,
    on_cells: bool,
    index: Sequence[Tensor],
    count: Sequence[Tensor],
) -> Flat:
    made = [x.new_empty((x.shape[0] // 2, x.shape[2])) for x in index]
    return made, [torch.empty_like(x) for x in made]


def _run(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    min_persistence: float,
    intersection: bool,
    on_cells: bool,
    index: Sequence[Tensor],
    count: Sequence[Tensor],
) -> Flat:
    tiling = Tiling(tuple(pred.shape[1:]), tuple(window), tuple(stride), border)
    query = Query(tuple(dims), top, rounded(min_persistence, pred.dtype), None)
    if by_triton(pred):
        if pred.dim() > 3 or on_cells:
            what = "on all cells" if on_cells else "of volumes"
            raise NotImplementedError(
                f'Betti matchings {what} are computed on the CPU only: compute on the CPU with gpuph.use_kernels("cpu")'
            )
        check_cells(tiling.framed())
        on_device = [Pairs(i, i, n) for i, n in zip(index, count, strict=True)]
        with current_device(pred):
            made = backend.triton.partners((pred, target, height), tiling, query, on_device, intersection=intersection)
        return [a for a, _ in made], [b for _, b in made]
    images = array(pred), array(target), None if height is None else array(height)
    # The values of pairs are not read.
    pairs = [Pairs(array(i), array(i), array(n)) for i, n in zip(index, count, strict=True)]
    found = cpu.partners(images, tiling, query, pairs, Comparison(intersection, on_cells))
    return [tensor(a, pred.device) for a, _ in found], [tensor(b, pred.device) for _, b in found]


define(
    "partners(Tensor pred, Tensor target, Tensor? height, int[] window, int[] stride, bool border, int[] dims,"
    " bool top, float min_persistence, bool intersection, bool on_cells, Tensor[] index, Tensor[] count)"
    " -> (Tensor[], Tensor[])",
    _fake,
    _run,
)


def partners(
    images: tuple[Tensor, Tensor, Tensor | None],
    tiling: Tiling,
    query: Query,
    pairs: Sequence[Pairs[Tensor]],
    comparison: Comparison,
) -> list[tuple[Tensor, Tensor]]:
    """Match the persistence pairs of the windows of two images, f and g, by what their classes become.

    Parameters
    ----------
    images : tuple of Tensor
        `pred`, `target` and `height`, as for `framed_persistence`.
    tiling, query
        As for `framed_persistence`, which found the pairs. Classes are matched only if their images last longer than
        `min_persistence`.
    pairs : sequence of Pairs
        The pairs of the 2 N windows, in each dimension of the query.
    comparison : Comparison
        How classes are compared. On cells: images only, in V, and in unions.

    Returns
    -------
    list of tuple of Tensor
        For each dimension of the query, the partners of the pairs of `pred`, shape (N, K), and of those of `target`:
        int64, the column in the other diagram, or -1.
    """
    _, window, stride, border = tiling
    index, count = [x.index for x in pairs], [x.count for x in pairs]
    run = torch.ops.gpuph.partners.default
    dims, top, min_persistence, _ = query
    a, b = run(*images, window, stride, border, dims, top, min_persistence, *comparison, index, count)
    return list(zip(a, b, strict=True))
