"""The order of pixels: integers that sort as the values of a window do, for images and volumes alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .runtime.jit import device, inlined


def as_integers(x: NDArray[Any]) -> NDArray[Any]:
    """Return floats as integers of the same size, in the same memory."""
    return x.view(np.int32 if x.dtype == np.float32 else np.int64)


@device
def order_keys(image, bits, most, top, key):
    """Turn floats into integers of the same order (V) or of the opposite one (T).

    image : (H, W); bits : the same memory as int32 or int64. most : the largest integer.
    key : (H + 2, W + 2), written inside its ring. Returns whether there is a NaN.
    """
    height, width = bits.shape
    mirror = -1 if top else 0
    nan = False
    for v in image.flat:  # in a separate loop, because the other one would reduce a vector at the end of each row
        nan |= v != v
    for y in range(height):
        source, row = bits[y], key[y + 1, 1:]
        for x in range(width):
            row[x] = order_key(source[x], most, mirror)
    return nan


@inlined
def order_key(bits, most, mirror):
    """Return the order key of a float with these bits. mirror : -1 for the opposite order, or 0."""
    key = bits ^ most if bits < 0 else bits
    if key == -1:  # -0.0 equals 0.0
        key = 0
    return key ^ mirror


@inlined
def float_bits(key, top):
    """Return the bits of the float with an order key, as an integer; top : whether the order is the opposite one."""
    bits = ~key if top else key
    return bits ^ np.iinfo(key).max if bits < 0 else bits
