"""`matched_persistence`: the pairs of the windows of two images, matched by the images of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gpuph.kernels import Comparison, Found, Query, Tiling

from . import backend
from .backend import array, array_or_none, by_triton, current_device, tensor
from .cpu_kernels import cpu
from .define import define
from .pairs import fake_pairs, flat, flat_on, named, narrowed
from .persistence import check_cells, rounded

Partners = list[tuple[Tensor, Tensor]]
Flat = tuple[Tensor, list[Tensor], list[Tensor], list[Tensor], list[Tensor], list[Tensor]]


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
    capacity: int | None,
    intersection: bool,
    on_cells: bool,
) -> Flat:
    n = pred.shape[0] * Tiling.of(pred.shape[1:], window, stride, border=border).windows()
    found = fake_pairs(pred, 2 * n, dims, capacity)
    partner_a, partner_b = ([x.new_empty((n, x.shape[2])) for x in found[1]] for _ in range(2))
    return *found, partner_a, partner_b


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
    capacity: int | None,
    intersection: bool,
    on_cells: bool,
) -> Flat:
    tiling = Tiling.of(pred.shape[1:], window, stride, border=border)
    query = Query(tuple(dims), top, rounded(min_persistence, pred.dtype), capacity)
    if not by_triton(pred):
        images = array(pred), array(target), array_or_none(height)
        found, partners = cpu.matched_persistence(images, tiling, query, Comparison(intersection, on_cells))
        made, n = [tensor(x, pred.device) for x in partners], len(found.status) // 2
        # Outputs of an operator must not share memory.
        return *flat_on(pred.device, found), [x[:n] for x in made], [x[n:].clone() for x in made]
    if pred.dim() > 3 or on_cells:
        what = "on all cells" if on_cells else "of volumes"
        raise NotImplementedError(
            f'Betti matchings {what} are computed on the CPU only: compute on the CPU with gpuph.use_kernels("cpu")'
        )
    check_cells(tiling.framed())
    run = partial(_by_triton, (pred, target, height), tiling, query, intersection)
    settings = tiling.window, tiling.stride, border, *query, intersection
    with current_device(pred):
        return backend.triton.replayed(run, (pred, target, height), ("matched_persistence", *settings))


def _by_triton(images: tuple[Tensor, Tensor, Tensor | None], tiling: Tiling, query: Query, intersection: bool) -> Flat:
    found, partners = backend.triton.matched_persistence(images, tiling, query, intersection=intersection)
    if query.capacity is None and images[0].is_cpu:
        found = narrowed(found)
        columns = [x.index.shape[2] for x in found.pairs]
        partners = [(a[:, :k].clone(), b[:, :k].clone()) for (a, b), k in zip(partners, columns, strict=True)]
    return *flat(found), [a for a, _ in partners], [b for _, b in partners]


define(
    "matched_persistence(Tensor pred, Tensor target, Tensor? height, int[] window, int[] stride, bool border,"
    " int[] dims, bool top, float min_persistence, int? capacity, bool intersection, bool on_cells)"
    " -> (Tensor, Tensor[], Tensor[], Tensor[], Tensor[], Tensor[])",
    _fake,
    _run,
)


def matched_persistence(
    images: tuple[Tensor, Tensor, Tensor | None], tiling: Tiling, query: Query, comparison: Comparison
) -> tuple[Found[Tensor], Partners]:
    """Compute the persistence pairs of the windows of two images, and match those that become the same class.

    See `gpuph.betti_match` for the third function in which classes are compared.

    Parameters
    ----------
    images : tuple of Tensor
        `pred`, `target` and `height`, as for `framed_persistence`.
    tiling, query
        As for `framed_persistence`, except that `min_persistence` need not be 0. Classes are only matched if their
        images also last longer than that.
    comparison : Comparison
        How classes are compared. `on_cells` is for images only, with the construction V and unions.

    Returns
    -------
    found : Found
        As `framed_persistence` returns it. If the windows are whole images without frames and heights, columns after
        the last pair hold index -1 and value 0, as those of `persistence` do.
    partners : list of tuple of Tensor
        For each dimension of the query, the partners of the pairs of `pred`, shape (N, K), and of those of `target`:
        int64, the column in the other diagram, or -1.
    """
    _, window, stride, border = tiling
    *found, a, b = torch.ops.gpuph.matched_persistence.default(*images, window, stride, border, *query, *comparison)
    return named(tuple(found)), list(zip(a, b, strict=True))
