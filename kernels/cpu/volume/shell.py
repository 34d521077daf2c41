"""Shell: the boundary of a region of a volume."""

from __future__ import annotations

from ..region import comes_before
from ..runtime.jit import inlined
from ..runtime.jit import unsigned as _i


@inlined
def append_shell(grid, limit, number, n, pixels, used):
    """Append the voxels outside a region that touch it, after the first `used`, in no particular order.

    The region has n runs, numbered from `number` on; the shell gets the stamp `number` too. There must be room for 26
    voxels for each one of the region. Returns the new `used`.
    """
    begin, end = grid.runs[0], grid.runs[1]
    reach = 1 if grid.turn < 0 else 0
    for i in range(n):
        used = _append(grid, begin[_i(i)] - 1, begin[_i(i)], limit, number, pixels, used)
        used = _append(grid, end[_i(i)], end[_i(i)] + 1, limit, number, pixels, used)
        for offset in grid.rows:
            first, last = begin[_i(i)] + offset - reach, end[_i(i)] + offset + reach
            used = _append(grid, first, last, limit, number, pixels, used)
    return used


@inlined
def _append(grid, first, last, limit, number, pixels, used):
    """Append the voxels outside among some cells of a row, each of them once."""
    stamp, pixel = grid.stamp, grid.pixel
    for cell in range(first, last):
        if not comes_before(grid.key, cell, limit) and stamp[_i(cell)] < number:
            stamp[_i(cell)] = number
            pixels[_i(used)] = pixel[_i(cell)]
            used += 1
    return used
