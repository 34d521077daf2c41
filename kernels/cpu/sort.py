"""Sort: a stable argsort of integers, which numbers in kernels are turned into to be ordered."""

from __future__ import annotations

import numpy as np

from .jit import device
from .jit import unsigned as _i

_FEW = 40  # that insertion sorts faster than counting


@device
def argsort(keys, order, spare_keys, spare_order, place):
    """Write into order (n,) the places of signed keys (n,), the least first, and of equal ones the first first.

    The keys and the spares, of the same shapes and dtypes, are used up; so is place (256,) int32.
    """
    n = keys.size
    for i in range(n):
        order[i] = i
    if n <= _FEW:
        for i in range(1, n):
            key, j = keys[i], i
            while j > 0 and keys[j - 1] > key:
                keys[j], order[j] = keys[j - 1], order[j - 1]
                j -= 1
            keys[j], order[j] = key, i
        return
    # A radix sort by bytes. They are even in number, so that the last pass leaves the result where it is wanted.
    for i in range(n):
        keys[i] ^= np.iinfo(keys.dtype).min  # the byte with the sign sorts as the others do
    for shift in range(0, 8 * keys.itemsize, 8):
        place[:] = 0
        for i in range(n):
            place[_i((keys[i] >> shift) & 255)] += 1
        before = np.int32(0)
        for bucket in range(256):
            before, place[bucket] = before + place[bucket], before
        for i in range(n):
            bucket = _i((keys[i] >> shift) & 255)
            to = _i(place[bucket])
            place[bucket] += 1
            spare_keys[to], spare_order[to] = keys[i], order[i]
        keys, spare_keys = spare_keys, keys
        order, spare_order = spare_order, order
