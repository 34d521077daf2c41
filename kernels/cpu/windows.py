"""Windows: the filtration, a window of an image plus its height function inside a frame, and the way back.

Images and windows have three axes here, (D, H, W); those of two axes have a depth of 1, and no frame in that direction.
"""

from __future__ import annotations

import numpy as np

from .runtime.jit import device
from .runtime.jit import unsigned as _i


@device
def windows_of(image, window, stride):
    """How many windows of an image of that size there are along each axis."""
    depth = (image[0] - window[0] + stride[0] - 1) // stride[0] + 1
    height = (image[1] - window[1] + stride[1] - 1) // stride[1] + 1
    width = (image[2] - window[2] + stride[2] - 1) // stride[2] + 1
    return depth, height, width


@device
def corner_of(i, image, window, stride):
    """The first pixel (z, y, x) of window number i, the last of which are shifted inwards to end with the image."""
    _, rows, columns = windows_of(image, window, stride)
    z, y, x = i // (rows * columns), i // columns % rows, i % columns
    return (
        min(z * stride[0], image[0] - window[0]),
        min(y * stride[1], image[1] - window[1]),
        min(x * stride[2], image[2] - window[2]),
    )


@device
def lay(image, corner, height, margin, out, line, least):
    """Write a window of an image plus the height function into out (D, H, W), inside margins of that width.

    height : of the size of the window (d, h, w); or (3,), slopes along its axes; or empty, for none. line, least : (w,)
    of the image's dtype, scratch.
    Returns the least value. It is no NaN, which must not spread to other windows; without a number it is +inf.
    """
    size = out.shape[0] - 2 * margin[0], out.shape[1] - 2 * margin[1], out.shape[2] - 2 * margin[2]
    least[:] = np.inf
    if height.ndim == 1:
        for x in range(size[2]):
            line[x] = height[2] * _from_centre(x, size[2], height)
    # Rows with their offsets: a slice of each row would take longer than the row does.
    left, first, columns = _i(corner[2]), _i(margin[2]), _i(size[2])
    for z in range(size[0]):
        for y in range(size[1]):
            source, row = image[_i(corner[0] + z), _i(corner[1] + y)], out[_i(margin[0] + z), _i(margin[1] + y)]
            if height.ndim == 1:
                up = _of_row(height, z, y, size)
                for x in range(columns):
                    v, low = source[left + x] + (up + line[x]), least[x]
                    row[first + x], least[x] = v, v if v < low else low
            elif height.size > 0:
                ups = height[_i(z), _i(y)]
                for x in range(columns):
                    v, low = source[left + x] + ups[x], least[x]
                    row[first + x], least[x] = v, v if v < low else low
            else:
                for x in range(columns):
                    v, low = source[left + x], least[x]
                    row[first + x], least[x] = v, v if v < low else low
    lowest = least[0]
    for x in range(size[2]):
        lowest = least[x] if least[x] < lowest else lowest
    return lowest


@device
def _of_row(slopes, z, y, size):
    """What of the height is the same in a whole row of a window of that size."""
    return slopes[0] * _from_centre(z, size[0], slopes) + slopes[1] * _from_centre(y, size[1], slopes)


@device
def _from_centre(i, size, like):
    """How far pixel i of an axis is from its centre, in the dtype of an array."""
    return like.dtype.type(i) - like.dtype.type((size - 1) / 2)


@device
def lay_frame(out, margin, value):
    """Write a value into the margins of out (D, H, W)."""
    depth, rows, columns = out.shape
    for z in range(depth):
        for y in range(rows):
            row = out[_i(z), _i(y)]
            if margin[0] <= z < depth - margin[0] and margin[1] <= y < rows - margin[1]:
                for x in range(margin[2]):
                    row[_i(x)] = row[_i(columns - 1 - x)] = value
            else:
                for x in range(_i(columns)):
                    row[x] = value


@device
def fill_from_image(codes, levels, corner, image, margin, shape, index, value):
    """What `emit.fill` does, of a window that `lay` has laid: pixels are those of the image, and -1 on the frame.

    levels : (2 n,), of `emit.read`. image, shape : sizes of the image, and of the window in its frame.
    """
    for i in range(min(codes.size, index.shape[1])):
        index[0, i] = _located(codes[i] >> 32, corner, image, margin, shape)
        index[1, i] = _located((codes[i] & 0xFFFFFFFF) - 1, corner, image, margin, shape)
        value[0, i], value[1, i] = levels[_i(2 * i)], levels[_i(2 * i + 1)]


@device
def _located(position, corner, image, margin, shape):
    """Flat index in the image of a position in a window's frame; -1 on the frame and for -1."""
    # A division would be slower; half a pixel more keeps the product exact.
    row = np.int64((position + 0.5) * (1.0 / shape[2]))
    z = np.int64((row + 0.5) * (1.0 / shape[1]))
    x, y, z = position - row * shape[2] - margin[2], row - z * shape[1] - margin[1], z - margin[0]
    inside = (0 <= x < shape[2] - 2 * margin[2]) & (0 <= y < shape[1] - 2 * margin[1])
    inside &= (0 <= z < shape[0] - 2 * margin[0]) & (position >= 0)
    return ((corner[0] + z) * image[1] + corner[1] + y) * image[2] + corner[2] + x if inside else -1
