"""The formulas of the Triton kernels match the cells of lower stars in the order that `cells` states."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from gpuph.kernels import cells
from gpuph.kernels.cpu.volume import steepest

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from gpuph.kernels.triton.image.gradient import critical_edges, edges_of_vertices  # noqa: E402
from gpuph.kernels.triton.image.trace import ascents  # noqa: E402
from gpuph.kernels.triton.volume.gradient import critical_cells  # noqa: E402
from gpuph.kernels.triton.volume.reduce_flow import latest_of, match, partner_of, unless_with_vertex  # noqa: E402
from gpuph.kernels.triton.volume.trace import _up, step_down  # noqa: E402
from gpuph.kernels.triton.volume.words import matched_along, rank_among  # noqa: E402
from support.emulation import needs_ptx, ptx  # noqa: E402

pytestmark = needs_ptx

WAYS = {1: 0, -1: 1, 3: 2, -3: 3}  # planes of the steps along E, W, S and N


def stars_of_images() -> list[int]:
    """All lower stars of a pixel: a square needs both of its edges."""
    return [star for star in range(512) if star & cells.VERTEX and not star & ~with_faces(star, 2)]


def stars_of_volumes(n: int) -> list[int]:
    """Random lower stars of a voxel, of all densities."""
    rng = np.random.default_rng(0)
    stars = []
    for density in np.linspace(0.0, 1.0, n):
        star = sum(1 << bit for bit in range(27) if rng.random() < density) | 1 << cells.VERTEX_BIT
        stars.append(with_faces(with_faces(star, 3), 3))
    return stars


def with_faces(star: int, rank: int) -> int:
    """Remove cells that have a face at the vertex which is not in the star."""
    return sum(1 << bit for bit in bits_of(star) if all(star >> face & 1 for face in faces(bit, rank)))


def faces(bit: int, rank: int) -> Iterator[int]:
    """The faces at the vertex of a cell: without one of its parts."""
    for axis in range(rank):
        part = bit // 3**axis % 3 - 1
        if part:
            yield bit - part * 3**axis


def bits_of(mask: int) -> list[int]:
    return [bit for bit in range(27) if mask >> bit & 1]


@triton.jit
def _image_formulas(stars, out, N: tl.constexpr):
    """Apply the formulas for images to stars (N,); out : (2, N)."""
    lane = tl.arange(0, N)
    star = tl.load(stars + lane)
    nw, n, ne, w = star & 1, star >> 1 & 1, star >> 2 & 1, star >> 3 & 1
    e, sw, s, se = star >> 5 & 1, star >> 6 & 1, star >> 7 & 1, star >> 8 & 1
    c_n, c_w, c_s = critical_edges(n, w, e, s, nw, ne, sw, se)
    tl.store(out + lane, c_n << 1 | c_w << 3 | c_s << 7)
    tl.store(out + N + lane, edges_of_vertices(n, w, e, s))


def test_formulas_of_images_follow_the_order() -> None:
    stars = stars_of_images()
    padded = stars + [cells.VERTEX] * (512 - len(stars))
    out = torch.empty(2, 512, dtype=torch.int32)
    words = [sum((star >> bit & 1) << 8 * plane for plane, bit in enumerate((0, 2, 6, 8))) for star in stars]
    with ptx(0):
        _image_formulas[(1,)](torch.tensor(padded, dtype=torch.int32), out, N=512, num_warps=1)
        # Windows of one pixel, whose squares NW, NE, SW and SE have the coordinates (0, 0) to (1, 1).
        planes = ascents(torch.tensor(words, dtype=torch.int32)[:, None, None], 1)
    for star, critical, edge, way in zip(stars, *out[:, : len(stars)].tolist(), planes[:, 0].tolist(), strict=True):
        matched = cells.match_star(star, 2)
        edges = bits_of(star & (cells.N | cells.W | cells.E | cells.S))
        assert bits_of(critical) == [bit for bit in edges if bit not in matched]
        assert edge == (1 << 8 * WAYS[matched[4]] if 4 in matched else 0)
        for bit in (0, 2, 6, 8):
            word = way[bit % 3 // 2] >> bit // 6 & 0x01010101
            expected = 1 << 8 * WAYS[-matched[bit]] if star >> bit & 1 and bit in matched else 0
            assert word == expected, (star, bit)


@triton.jit(do_not_specialize=["depth", "height", "width"])
def _steps(grid, positions, out, depth, height, width, N: tl.constexpr, UP: tl.constexpr):
    """Take a step from each of the positions (3, N) in a grid of stars; out : (3, N)."""
    lane = tl.arange(0, N)
    z, y, x = tl.load(positions + lane), tl.load(positions + N + lane), tl.load(positions + 2 * N + lane)
    if UP:
        to_z, to_y, to_x, walks = _up(z, y, x, lane >= 0, grid, depth, height, width)
    else:
        to_z, to_y, to_x, walks = step_down(z, y, x, lane >= 0, grid, depth, height, width)
    tl.store(out + lane, tl.where(walks, to_z - z, 0))
    tl.store(out + N + lane, tl.where(walks, to_y - y, 0))
    tl.store(out + 2 * N + lane, tl.where(walks, to_x - x, 0))


def test_steps_in_volumes_follow_the_order() -> None:
    """From a vertex across its edge, and from a cube across its square."""
    stars = stars_of_volumes(64)
    grid = torch.zeros(3, 3, 3 * len(stars), dtype=torch.int32)
    grid[1, 1, 1::3] = torch.tensor(stars, dtype=torch.int32)
    for up, kind in ((False, cells.VERTEX3), (True, cells.CUBES3)):
        starts = [(i, bit) for i in range(len(stars)) for bit in bits_of(kind)]
        # The position of a cube is its corner of least index.
        corners = [[min(part, 0) + 1 for part in cells.DIRECTIONS3[bit][::-1]] for _, bit in starts]
        positions = torch.tensor([[z, y, 3 * i + x] for (i, _), (z, y, x) in zip(starts, corners, strict=True)])
        out = torch.empty(3, len(starts), dtype=torch.int32)
        with ptx(0):
            _steps[(1,)](grid, positions.T.int().contiguous(), out, *grid.shape, N=len(starts), UP=up, num_warps=1)
        for (i, bit), (z, y, x) in zip(starts, out.T.tolist(), strict=True):
            shift = cells.match_star(stars[i], 3).get(bit, 0) if stars[i] >> bit & 1 else 0
            assert x + 3 * y + 9 * z == (-shift if up else shift), (stars[i], bit)


@triton.jit
def _flow(stars, directions, out, N: tl.constexpr):
    """Apply the formulas of the reduction to edges in these directions of stars (N,); out : (4, N)."""
    lane = tl.arange(0, N)
    star, direction = tl.load(stars + lane), tl.load(directions + lane)
    east, west, south, north, above, below, critical = match(star)
    edge = (east | west | south | north | above | below) & (1 << direction)
    second = partner_of(edge, east, west, south, north, above)
    tl.store(out + lane, critical)
    tl.store(out + N + lane, tl.where(edge != 0, second, 0))
    tl.store(out + 2 * N + lane, unless_with_vertex(star, direction))
    tl.store(out + 3 * N + lane, critical_cells(star))


def test_critical_cells_and_squares_of_volumes_follow_the_order() -> None:
    edges = [(star, bit) for star in stars_of_volumes(200) for bit in bits_of(star & cells.EDGES3)]
    edges = [edges[i] for i in np.random.default_rng(1).permutation(len(edges))[:256]]
    stars, directions = (torch.tensor(part, dtype=torch.int32) for part in zip(*edges, strict=True))
    out = torch.empty(4, len(edges), dtype=torch.int32)
    with ptx(0):
        _flow[(1,)](stars, directions, out, N=len(edges), num_warps=1)
    for (star, bit), of_reduce, second, beyond, of_gradient in zip(edges, *out.tolist(), strict=True):
        matched = cells.match_star(star, 3)
        critical = [other for other in bits_of(star) if other not in matched]
        assert bits_of(of_gradient) == critical
        assert bits_of(of_reduce) == [other for other in critical if cells.EDGES3 >> other & 1]
        with_vertex = matched[cells.VERTEX_BIT] == bit - cells.VERTEX_BIT
        assert beyond == (0 if with_vertex else 1 << bit)
        with_square = bit in matched and not with_vertex
        assert second == (cells.VERTEX_BIT + matched[bit] if with_square else 0)


@triton.jit
def _word_formulas(words, cell_bits, edge_bits, out, N: tl.constexpr):
    """Apply the formulas for words to words (N,), with a cell and an edge for each; out : (11, N)."""
    lane = tl.arange(0, N)
    word, bit, edge = tl.load(words + lane), tl.load(cell_bits + lane), tl.load(edge_bits + lane)
    east, west, south, north, above, below, critical = match(word)
    tl.store(out + lane, east)
    tl.store(out + N + lane, west)
    tl.store(out + 2 * N + lane, south)
    tl.store(out + 3 * N + lane, north)
    tl.store(out + 4 * N + lane, above)
    tl.store(out + 5 * N + lane, below)
    edges = critical.to(tl.int32) & ((1 << 27) - 1)
    tl.store(out + 6 * N + lane, edges)
    tl.store(out + 7 * N + lane, matched_along(word, bit))
    tl.store(out + 8 * N + lane, unless_with_vertex(word, edge))
    tl.store(out + 9 * N + lane, rank_among(critical, edge))
    tl.store(out + 10 * N + lane, latest_of(edges, critical))


def test_formulas_of_words_are_those_of_the_cpu() -> None:
    """Stars with their edges in any order."""
    rng, rows = np.random.default_rng(2), []
    for star in stars_of_volumes(400):
        edges = rng.permutation(bits_of(star & cells.EDGES3)).tolist()
        if edges and len(rows) < 256:
            word = star | sum(bit << 27 + 5 * place for place, bit in enumerate(edges))
            rows.append((word, int(rng.choice(bits_of(star))), edges[int(rng.integers(len(edges)))]))
    words = torch.tensor([word for word, _, _ in rows])
    cell_bits, edge_bits = (torch.tensor([row[i] for row in rows], dtype=torch.int32) for i in (1, 2))
    out = torch.empty(11, len(rows), dtype=torch.int32)
    with ptx(0):
        _word_formulas[(1,)](words, cell_bits, edge_bits, out, N=len(rows), num_warps=1)
    for (word, bit, edge), found in zip(rows, out.T.tolist(), strict=True):
        *upward, critical = (int(mask) for mask in steepest.matched_upward(np.int64(word)))
        critical &= cells.EDGES3
        assert found[:7] == [*upward, critical]
        assert found[7] == steepest.matched_along(np.int64(word), bit)
        assert found[8] == (0 if steepest.matched_with_vertex(np.int64(word), edge) else 1 << edge)
        ranks = {
            other: int(steepest.place_among(np.int64(word), np.uint32(critical), np.uint32(1 << other)))
            for other in {edge, *bits_of(critical)}
        }
        assert found[9] == ranks[edge]
        assert found[10] == max(bits_of(critical), key=lambda other: ranks[other], default=0)
