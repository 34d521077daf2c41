"""Skeletons of masks, as curves and as graphs.

A mask is taken as a complex of closed pixels with all their edges and vertices, and the complex is thinned from the
outside in to curves, which run along the middle of the mask: through pixels where it is an odd number of pixels thick,
and between them where it is even. This has the symmetries of the grid, which no choice of pixels can have.
"""

from __future__ import annotations

import functools
from itertools import pairwise, product
from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.ndimage import label

from gpuph.kernels import cpu

from .polylines import cut

# A point of a curve is kept if its distance from the end of the mask exceeds half the thickness of the mask by so many
# half pixels. Fewer let curves grow to the bumps of a rough border.
LONGER = 3


class Curves(NamedTuple):
    """The cells that are left of the complex of a mask.

    Attributes
    ----------
    places : ndarray, shape (n, ndim), float64
        Their centres, in pixels.
    links : ndarray, shape (m, 2), int64
        Which of them follow each other on a curve. The second is a face of the first.
    """

    places: np.ndarray
    links: np.ndarray


@functools.cache
def _faces(axes: int) -> np.ndarray:
    """Return the steps from a cell that extends along so many axes to its faces, shape (3**axes - 1, axes)."""
    steps = [step for step in product((-1, 0, 1), repeat=axes) if any(step)]
    return np.array(steps, int).reshape(3**axes - 1, axes)


@functools.cache
def _bits(axes: int) -> np.ndarray:
    """Return the faces in the closure of each face, itself included, as bits, shape (faces,), uint64."""
    faces = _faces(axes)
    inside = ((faces[:, None] == faces) | (faces[:, None] == 0)).all(2)
    bits: np.ndarray = np.where(inside, np.uint64(1) << np.arange(len(faces), dtype=np.uint64), np.uint64(0)).sum(1)
    return bits


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return `octagon` and `near` for the kernel."""
    near = np.zeros((4, 26), np.uint64)
    for axes in (1, 2, 3):
        places = np.arange(len(_faces(axes)), dtype=np.uint64)
        inside = (_bits(axes)[:, None] >> places) & np.uint64(1)
        near[axes, : len(places)] = (((inside | inside.T) - np.eye(len(places), dtype=np.uint64)) << places).sum(1)
    octagon = np.zeros(256, bool)
    around = np.array((0, 1, 2, 4, 7, 6, 5, 3))  # the faces of a square, one after another
    for bits in range(255):
        present = (bits >> around) & 1
        octagon[bits] = (present != np.roll(present, 1)).sum() == 2
    return octagon, near


def curves(mask: np.ndarray) -> Curves:
    """Thin a bool mask (H, W) or (D, H, W) to curves."""
    ndim = mask.ndim
    if not mask.any():
        return Curves(np.zeros((0, ndim)), np.zeros((0, 2), int))
    box = tuple(_extent(mask, axis) for axis in range(ndim))
    mask = mask[box] if ndim == 2 else _without_cavities(mask[box])
    shape = tuple(2 * size + 3 for size in mask.shape)
    grid = np.zeros(shape, np.uint8)
    for step in product((1, 2, 3), repeat=ndim):
        grid[tuple(slice(s, s + 2 * n, 2) for s, n in zip(step, mask.shape, strict=True))] |= mask
    strides = np.array(grid.strides)
    kinds = 2**ndim
    extends = (np.arange(kinds)[:, None] >> np.arange(ndim)) & 1
    axes = np.stack((extends.sum(1), ndim - extends.sum(1)))
    offset, kind_of = np.zeros((2, 2, kinds, 26), int)
    begin, used = np.zeros((2, 2, kinds), int)
    room = np.empty(2 * int(np.count_nonzero(grid)), np.int32 if grid.size < 2**31 else np.int64)
    state = grid.ravel()
    top = 0
    for kind in range(kinds):
        for side in (0, 1):
            along = np.flatnonzero(extends[kind] != side)
            faces = _faces(len(along))
            offset[side, kind, : len(faces)] = faces @ strides[along]
            kind_of[side, kind, : len(faces)] = kind ^ ((faces != 0) @ (1 << along))
        cells = np.argwhere(grid[tuple(slice(1 - extent, None, 2) for extent in extends[kind])])
        cells = (2 * cells + 1 - extends[kind]) @ strides
        begin[:, kind] = top, top + len(cells)
        top += 2 * len(cells)
        if kind < kinds - 1:  # all cells that can have cofaces
            used[1, kind] = len(cells)
            room[begin[1, kind] : top] = cells
            state[cells] |= cpu.thinning.LISTED << 1
    order = np.stack((np.argsort(axes[0], kind="stable"), np.argsort(axes[1], kind="stable")))
    ends = cpu.thinning.peel(state, room, begin, used, order, axes, offset, kind_of, *_tables(), LONGER)
    _restore(state, offset, axes, shape, *ends)
    left = np.flatnonzero(state & cpu.thinning.PRESENT)
    places = _places(left, shape) / 2 - 1 + [side.start for side in box]
    return Curves(places, _without_triangles(places, _links(state, left, offset, axes, shape)))


def weights(curve: Curves) -> np.ndarray:
    """Return how many pixels each cell of the curves counts for, shape (n,).

    A pixel counts as 1 and the side between two pixels as 0. Where a curve runs between pixels, every second cell
    counts, so that the sum is the number of pixels along the curves.
    """
    cofaces = np.bincount(curve.links[:, 1], minlength=len(curve.places))
    counts: np.ndarray = (1 - cofaces / 2).clip(0)
    return counts


def _without_cavities(mask: np.ndarray) -> np.ndarray:
    """Fill the cavities of a volume that are balls, so that it can be thinned to curves.

    This does not change its components and loops.
    """
    labels, count = label(np.pad(~mask, 1, constant_values=True))
    if count == 1:
        return mask
    # Euler characteristics of the components of the background: voxels - pairs + squares - cubes of voxels.
    characteristic = np.zeros(count + 1, int)
    for sides in product((1, 2), repeat=3):
        whole = labels
        for axis, side in enumerate(sides):
            if side == 2:
                low, high = (whole[(slice(None),) * axis + (part,)] for part in (slice(None, -1), slice(1, None)))
                whole = np.where(high > 0, low, 0)
        sign = 1 - 2 * (sum(sides) % 2 == 0)
        characteristic += sign * np.bincount(whole.ravel(), minlength=count + 1)
    ball = characteristic == 1
    ball[[0, labels[0, 0, 0]]] = False
    filled = mask | ball[labels[1:-1, 1:-1, 1:-1]]
    touching = np.ones((3, 3, 3))
    # A cavity with a handle that also holds an object has the characteristic of a ball.
    return filled if label(filled, touching)[1] == label(mask, touching)[1] else mask


def _extent(mask: np.ndarray, axis: int) -> slice:
    """Return the range along an axis in which a mask is True."""
    index = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
    return slice(int(index[0]), int(index[-1]) + 1)


def _places(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(np.unravel_index(cells, shape), 1)


def _links(
    state: np.ndarray, cells: np.ndarray, offset: np.ndarray, axes: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Return pairs of cells of which the second is a face of the first, as indices into sorted `cells` (m, 2)."""
    kind = (1 - (_places(cells, shape) & 1)) @ (1 << np.arange(len(shape)))
    pairs = [np.zeros((0, 2), int)]
    for number in range(2 ** len(shape)):
        mine = np.flatnonzero(kind == number)
        for step in offset[0, number, : 3 ** axes[0, number] - 1]:
            having = mine[(state[cells[mine] + step] & cpu.thinning.PRESENT) > 0]
            pairs.append(np.stack((having, np.searchsorted(cells, cells[having] + step)), 1))
    return np.concatenate(pairs)


def _restore(
    state: np.ndarray,
    offset: np.ndarray,
    axes: np.ndarray,
    shape: tuple[int, ...],
    end: np.ndarray,
    beside: np.ndarray,
    step: np.ndarray,
) -> None:
    """Give kept curves back what they lost at their ends before they were kept, up to the first fork."""
    order = np.lexsort((-step, beside))
    end, beside, step = end[order], beside[order], step[order]

    def grow(cells: np.ndarray, branch: int, branches: int) -> np.ndarray:
        """Add the next cell of a branch beyond each of these, if it is longer than all but so many branches."""
        first, stop = (np.searchsorted(beside, cells, side=which) for which in ("left", "right"))
        first, stop = first[first + branch < stop], stop[first + branch < stop]
        rival = first + branches
        alone = rival >= stop
        alone[~alone] = step[rival[~alone]] < step[first[~alone] + branch]
        new: np.ndarray = end[first[alone] + branch]
        state[new] = cpu.thinning.PRESENT
        return new

    left = np.flatnonzero(state & cpu.thinning.PRESENT)
    degree = np.bincount(_links(state, left, offset, axes, shape).ravel(), minlength=len(left))
    kept = (state[left] & cpu.thinning.KEPT) > 0
    single = left[kept & (degree == 0)]  # it has two ends
    tips = np.concatenate((left[kept & (degree == 1)], grow(single, 0, 2), grow(single, 1, 2)))
    while len(tips):
        tips = grow(tips, 0, 1)


def curve_graph(mask: np.ndarray) -> nx.MultiGraph:
    """Return the graph of a mask's curves; see `gpuph.metrics.skeleton_graph`."""
    points, links = curves(mask)
    degree = np.bincount(links.ravel(), minlength=len(points))
    both = np.concatenate((links, links[:, ::-1]))
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    walked, start = cpu.thinning.chains(np.append(0, np.cumsum(degree)), both[:, 1], degree)
    ends = np.stack((walked[start[:-1]], walked[start[1:] - 1]), 1)
    nodes = np.union1d(ends, np.flatnonzero(degree != 2))
    graph = nx.MultiGraph()
    graph.add_nodes_from((number, {"pos": pos}) for number, pos in enumerate(points[nodes]))
    kept = _bends(points[walked], start)
    start = np.append(0, np.cumsum(kept))[start]
    line = points[walked[kept]]
    steps = np.linalg.norm(np.diff(line, axis=0, append=line[-1:]), axis=1)
    steps[start[1:] - 1] = 0
    lengths = np.add.reduceat(steps, start[:-1]) if len(ends) else steps
    # Points on the way from bend to bend, at most a pixel apart along each axis.
    pieces = np.ceil(np.abs(np.diff(line, axis=0, append=line[-1:])).max(1)).astype(int)
    pieces[start[1:] - 1] = 1
    line = cut(line, np.append(line[1:], line[-1:], 0), pieces)[0]
    start = np.append(0, np.cumsum(pieces))[start]
    names = np.searchsorted(nodes, ends).tolist()
    for (u, v), (a, b), length in zip(names, pairwise(start.tolist()), lengths.tolist(), strict=True):
        graph.add_edge(u, v, path=line[a:b], length=length)
    return graph


def _bends(line: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return which points of chains (n, ndim) to keep: the ends and the bends, but not the corners of stairs."""
    kept = np.ones(len(line), bool)
    inner = np.ones(len(line), bool)
    inner[start[:-1]] = inner[start[1:] - 1] = False
    index = np.flatnonzero(inner)
    before, after = (np.zeros_like(line) for _ in range(2))
    before[index], after[index] = line[index] - line[index - 1], line[index + 1] - line[index]
    turns = inner & ((before * after).sum(1) == 0)
    # Stairs are two right angles in a row, a pixel or less apart, that do not lead back.
    for gap in (1, 2):
        first = np.flatnonzero(turns)
        first = first[first + gap < len(line)]
        second = first + gap
        stairs = turns[second] & inner[first + gap - 1] & (after[first] == before[second]).all(1)
        stairs &= (before[first] + after[second]).any(1)
        kept[first[stairs]] = kept[second[stairs]] = False
    # Drop points on straight lines among the rest.
    rest = np.flatnonzero(kept)
    index = np.flatnonzero(inner[rest])
    before, after = line[rest[index]] - line[rest[index - 1]], line[rest[index + 1]] - line[rest[index]]
    sizes = np.abs(before).max(1, keepdims=True), np.abs(after).max(1, keepdims=True)
    kept[rest[index[(before * sizes[1] == after * sizes[0]).all(1)]]] = False
    return kept


def _without_triangles(places: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Return the links (m, 2) without those that only close triangles: three comparable cells are not a loop.

    A link can be removed without a change of the homotopy type if one of the common neighbours of its ends is a
    neighbour of all the others (Boissonnat & Pritam 2020, "Edge collapse and persistence of flag complexes"). The
    longest links go first.
    """
    has_face, has_coface = (np.zeros(len(places), bool) for _ in range(2))
    has_face[links[:, 0]] = has_coface[links[:, 1]] = True
    middle = has_face & has_coface
    if not middle.any():
        return links
    involved = np.zeros(len(places), bool)
    involved[links[middle[links].any(1)]] = True
    inner = involved[links].all(1)
    pairs = links[inner]
    lengths = np.abs(places[pairs[:, 0]] - places[pairs[:, 1]]).sum(1)
    pairs = pairs[np.argsort(-lengths, kind="stable")]
    adjacency: dict[int, set[int]] = {}
    for a, b in pairs.tolist():
        adjacency.setdefault(a, set()).add(b)
        adjacency.setdefault(b, set()).add(a)
    left = pairs.tolist()
    while True:
        stay = []
        for a, b in left:
            common = adjacency[a] & adjacency[b]
            if any(common <= adjacency[c] | {c} for c in common):
                adjacency[a].remove(b)
                adjacency[b].remove(a)
            else:
                stay.append((a, b))
        if len(stay) == len(left):
            return np.concatenate((links[~inner], np.array(stay, int).reshape(-1, 2)))
        left = stay
