"""Sort: a stable argsort of integers; floating-point numbers are mapped to integers of the same order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jit import allocating, device
from .jit import unsigned as _i
from .views import largest, view

Array = NDArray[np.generic]

_FEW = 40  # up to this many keys, an insertion sort is faster than a radix sort


class Keys(NamedTuple):
    """Numbers to be sorted, and their order."""

    value: Array  # float64
    bits: Array  # int64, the same memory
    order: Array  # int64, indices of the numbers
    spare_bits: Array
    spare_order: Array
    buckets: Array


@allocating
def allocate_keys(size):
    """Allocate keys for `size` numbers."""
    value, ints = np.empty(size), np.empty((3, size), np.int64)
    return Keys(value, view(value, np.int64), ints[0], ints[1], ints[2], radix_buckets())


@allocating
def radix_buckets():
    """Allocate the counts of `argsort`."""
    return np.empty((4, 256), np.int32)


@device
def sort(keys, n):
    """Write the indices of keys.value (n,) into keys.order, sorted by value and, if values are equal, by index.

    The values are overwritten.
    """
    for i in range(n):
        keys.value[i] += 0.0  # turns -0.0 into 0.0
        keys.bits[i] ^= (keys.bits[i] >> 63) & largest(np.int64)  # integers in the order of the numbers
    argsort(keys.bits[:n], keys.order[:n], keys.spare_bits, keys.spare_order, keys.buckets)


@device
def argsort(keys, order, spare_keys, spare_order, buckets):
    """Write the indices of signed keys (n,) into order (n,), sorted by key and, if keys are equal, by index.

    keys : overwritten. spare_keys, spare_order : scratch, with at least n elements and the dtypes of keys and order.
    buckets : scratch, see `radix_buckets`.
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
    # A radix sort by bytes. Their number is even, so the last pass leaves the result in `order`.
    for i in range(n):
        keys[i] ^= ~largest(keys.dtype)  # flips the sign, so that its byte sorts like the others
    for shift in range(0, 8 * keys.itemsize, 32):
        _count_bytes(keys, shift, buckets)
        for byte in range(4):
            next_place = buckets[byte]
            for i in range(n):
                bucket = _i((keys[i] >> (shift + 8 * byte)) & 255)
                to = _i(next_place[bucket])
                next_place[bucket] += 1
                spare_keys[to], spare_order[to] = keys[i], order[i]
            keys, spare_keys = spare_keys, keys
            order, spare_order = spare_order, order


@device
def _count_bytes(keys, shift, buckets):
    """Write where the keys with each value of each of four bytes begin once they are sorted by that byte.

    One loop counts all four bytes, because successive increments of one count wait for each other.
    """
    buckets[:] = 0
    first, second, third, fourth = buckets[0], buckets[1], buckets[2], buckets[3]
    for key in keys:
        four = key >> shift
        first[_i(four & 255)] += 1
        second[_i((four >> 8) & 255)] += 1
        third[_i((four >> 16) & 255)] += 1
        fourth[_i((four >> 24) & 255)] += 1
    a = b = c = d = np.int32(0)
    for bucket in range(256):
        a, first[bucket] = a + first[bucket], a
        b, second[bucket] = b + second[bucket], b
        c, third[bucket] = c + third[bucket], c
        d, fourth[bucket] = d + fourth[bucket], d
