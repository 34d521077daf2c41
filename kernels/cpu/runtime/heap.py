"""A heap of vertices, ordered by key and then by index, with the last in this order on top.

A heap is a pair of lists, keys of any dtype and vertices int32. The caller keeps its size.
"""

from __future__ import annotations

import numpy as np

from .jit import inlined
from .jit import unsigned as _i


@inlined
def push(heap, size, k, v):
    """Add vertex v with key k, and return the new size."""
    keys, vertices = heap
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        above = keys[_i(parent)]
        if above > k or (above == k and vertices[_i(parent)] > v):
            break
        keys[_i(i)], vertices[_i(i)] = above, vertices[_i(parent)]
        i = parent
    keys[_i(i)], vertices[_i(i)] = k, v
    return size + 1


@inlined
def pop(heap, size):
    """Remove the top, and return the new size."""
    keys, vertices = heap
    size -= 1
    k, v = keys[_i(size)], vertices[_i(size)]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size:
            here, beside = keys[_i(child)], keys[_i(child + 1)]
            child += np.int64((beside > here) | ((beside == here) & (vertices[_i(child + 1)] > vertices[_i(child)])))
        below = keys[_i(child)]
        if k > below or (k == below and v > vertices[_i(child)]):
            break
        keys[_i(i)], vertices[_i(i)] = below, vertices[_i(child)]
        i = child
    keys[_i(i)], vertices[_i(i)] = k, v
    return size
