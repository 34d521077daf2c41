"""Match by shortest augmenting paths (Jonker & Volgenant 1987), where points may also stay unmatched. Exact."""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device, zero
from ..runtime.primitives import halted
from .savings import copy, lowest, place_of, relax, saving


@device
def augment(rows, columns, m, order, work):
    """Match row by row, in the given order, each along the path by which the matching gains most.

    A path ends at an unmatched column, or at a row of the tree that gives up its partner and stays unmatched. The
    length of a path is the loss of the matching. It is at most the root's opt_out, which is the length of the path
    that leaves the root unmatched. near and far must be infinite, and are again at the end.
    """
    near, far, tree = work.sweep.near, work.sweep.far, work.tree
    for root in order:
        if halted(work.sweep.halt):
            return
        tree.row[0] = root
        row, base, size = root, 0.0, 1
        leaver, shortest = 0, rows.opt_out[root]  # the node whose row best gives up its partner; length of that path
        first, last = m, zero  # range of the columns with a finite distance
        while True:
            lo, hi = rows.first[row], rows.last[row]
            relax(rows, row, base, columns, lo, hi, near, far)
            copy(near, far, first, min(lo, last))
            copy(near, far, max(hi, first), last)
            first, last = min(first, lo), max(last, hi)
            distance = lowest(far, first, last)
            if not distance < shortest:
                distance, node = shortest, leaver
                rows.partner[tree.row[node]] = -1
                end = tree.partner[node]
                break
            j = place_of(distance, far, columns, first, last)
            row = columns.partner[j]
            if row < 0:
                end, node = j, size
                tree.distance[node], tree.price[node] = distance, columns.price[j]
                break
            base = distance + (saving(rows, row, columns, j) - columns.price[j])
            tree.row[size], tree.partner[size], tree.base[size] = row, j, base
            tree.distance[size], tree.price[size] = distance, columns.price[j]
            if base + rows.opt_out[row] < shortest:
                leaver, shortest = size, base + rows.opt_out[row]
            size += 1
            if halted(work.sweep.halt):
                return
            columns.price[j] = far[j] = np.inf  # its distance is final
            near, far = far, near
        near[first:last] = far[first:last] = np.inf
        # Raise prices until every matched row prefers its partner. Rounding must not make a price negative.
        for k in range(1, size):
            j = tree.partner[k]
            columns.price[j] = max(0.0 - columns.opt_out[j], tree.price[k] + (distance - tree.distance[k]))
        while end >= 0:
            # The row before a column on the path is the first from which its distance, bit for bit, was computed.
            k, length, price = 0, tree.distance[node], tree.price[node]
            while k < node - 1 and tree.base[k] + (price - saving(rows, tree.row[k], columns, end)) != length:
                k += 1
            rows.partner[tree.row[k]], columns.partner[end] = end, tree.row[k]
            end, node = tree.partner[k], k
