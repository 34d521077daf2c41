"""Sort: a stable argsort of integers, which numbers in kernels are turned into to be ordered."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jit import allocating, device
from .jit import unsigned as _i

Array = NDArray[np.generic]

_FEW = 40  # that insertion sorts faster than counting


class Keys(NamedTuple):
    """Numbers to be ordered, and their order."""

    value: Array  # float64
    bits: Array  # int64, the same memory
    order: Array  # int64, places
    spare_bits: Array
    spare_order: Array
    place: Array


@allocating
def no_keys(size):
    """Room for `size` numbers."""
    value, ints = np.empty(size), np.empty((3, size), np.int64)
    return Keys(value, value.view(np.int64), ints[0], ints[1], ints[2], no_places())


@allocating
def no_places():
    """Room for what `argsort` counts."""
    return np.empty((4, 256), np.int32)


@device
def sort(keys, n):
    """Write the places of keys.value (n,) into keys.order, the least first, and of equal ones the first first.

    The values are used up.
    """
    for i in range(n):
        keys.value[i] += 0.0  # so that -0.0 is 0.0
        keys.bits[i] ^= (keys.bits[i] >> 63) & np.iinfo(np.int64).max  # integers in the order of the numbers
    argsort(keys.bits[:n], keys.order[:n], keys.spare_bits, keys.spare_order, keys.place)


@device
def argsort(keys, order, spare_keys, spare_order, place):
    """Write into order (n,) the places of signed keys (n,), the least first, and of equal ones the first first.

    The keys and the spares, of the same shapes and dtypes, are used up; so is place, of `no_places`.
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
    for shift in range(0, 8 * keys.itemsize, 32):
        _count_bytes(keys, shift, place)
        for byte in range(4):
            next_place = place[byte]
            for i in range(n):
                bucket = _i((keys[i] >> (shift + 8 * byte)) & 255)
                to = _i(next_place[bucket])
                next_place[bucket] += 1
                spare_keys[to], spare_order[to] = keys[i], order[i]
            keys, spare_keys = spare_keys, keys
            order, spare_order = spare_order, order


@device
def _count_bytes(keys, shift, place):
    """Write where the keys with each value of each of four bytes begin, when they are sorted by that byte.

    One loop for all four, since additions to a count that come one after the other wait for each other.
    """
    place[:] = 0
    first, second, third, fourth = place[0], place[1], place[2], place[3]
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
