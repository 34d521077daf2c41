"""Windows: cut from images, raised by the height function and framed; and the way back from pixels to the images."""

from __future__ import annotations

import numpy as np

from .codes import birth_of, death_of
from .runtime.jit import device, inlined
from .runtime.jit import unsigned as _i
from .runtime.primitives import quotient


@device
def copy_windows(windows, i, out, scratch):
    """Copy window i of each image into out (K, D, H, W), plus its height, inside its frame.

    The frame is at the minimum of all K. scratch : (2, columns of the window), of the images' dtype.
    """
    image, corner = _image_of(windows, i), corner_of(windows, i)
    lowest = _copy_window(windows, i, windows.pred[image], corner, out[0], scratch)
    if len(out) == 2:
        lowest = min(lowest, _copy_window(windows, i, windows.target[image], corner, out[1], scratch))
    for k in range(len(out)):
        _write_frame(out[k], windows.frame, lowest)


@device
def _image_of(windows, i):
    """Return the number of the image that window i is cut from."""
    depth, rows, columns = windows.counts
    return i // (depth * rows * columns)


@device
def corner_of(windows, i):
    """Return the first pixel (z, y, x) of window i. The last windows are shifted inwards to end with the image."""
    depth, rows, columns = windows.counts
    size, stride, image = windows.size, windows.stride, windows.pred.shape
    z, y, x = i // (rows * columns) % depth, i // columns % rows, i % columns
    return (
        min(z * stride[0], image[1] - size[0]),
        min(y * stride[1], image[2] - size[1]),
        min(x * stride[2], image[3] - size[2]),
    )


@device
def _copy_window(windows, i, image, corner, out, scratch):
    """Copy window i of one image (D, H, W) and return its least value.

    A NaN is never the least value, because the frame would spread it to the other image. If all are NaN, it is +inf.
    """
    line, least, height, slopes = scratch[0], scratch[1], windows.height, windows.slopes
    least[:] = np.inf
    if len(slopes) > 0:
        _copy_sloped(windows, slopes[i if len(slopes) > 1 else 0], image, corner, out, least, line)
    elif len(height) > 0:
        _copy_raised(windows, height[i if len(height) > 1 else 0], image, corner, out, least)
    else:
        _copy_plain(windows, image, corner, out, least)
    lowest = least[0]
    for x in range(windows.size[2]):
        lowest = least[x] if least[x] < lowest else lowest
    return lowest


# One loop for each kind of height function, because a choice inside the loop would prevent vector instructions. Rows
# have offsets, because slicing a row would take longer than copying it.


@device
def _copy_plain(windows, image, corner, out, least):
    """Copy a window, and update the least value of each column."""
    size, frame = windows.size, windows.frame
    left, first, columns = _i(corner[2]), _i(frame[2]), _i(size[2])
    for z in range(size[0]):
        for y in range(size[1]):
            source, row = image[_i(corner[0] + z), _i(corner[1] + y)], out[_i(frame[0] + z), _i(frame[1] + y)]
            for x in range(columns):
                v, low = source[left + x], least[x]
                row[first + x], least[x] = v, v if v < low else low


@device
def _copy_raised(windows, height, image, corner, out, least):
    """Copy a window plus a height in each pixel (d, h, w), and update the least value of each column."""
    size, frame = windows.size, windows.frame
    left, first, columns = _i(corner[2]), _i(frame[2]), _i(size[2])
    for z in range(size[0]):
        for y in range(size[1]):
            source, row = image[_i(corner[0] + z), _i(corner[1] + y)], out[_i(frame[0] + z), _i(frame[1] + y)]
            up = height[_i(z), _i(y)]
            for x in range(columns):
                v, low = source[left + x] + up[x], least[x]
                row[first + x], least[x] = v, v if v < low else low


@device
def _copy_sloped(windows, slope, image, corner, out, least, line):
    """Copy a window plus a linear function with slopes (3,), and update the least value of each column."""
    size, frame = windows.size, windows.frame
    left, first, columns = _i(corner[2]), _i(frame[2]), _i(size[2])
    for x in range(size[2]):
        line[x] = slope[2] * _from_centre(x, size[2], slope)
    for z in range(size[0]):
        for y in range(size[1]):
            source, row = image[_i(corner[0] + z), _i(corner[1] + y)], out[_i(frame[0] + z), _i(frame[1] + y)]
            up = slope[0] * _from_centre(z, size[0], slope) + slope[1] * _from_centre(y, size[1], slope)
            for x in range(columns):
                v, low = source[left + x] + (up + line[x]), least[x]
                row[first + x], least[x] = v, v if v < low else low


@device
def _from_centre(i, size, like):
    """Return the distance of pixel i from the centre of an axis, in the dtype of an array."""
    return like.dtype.type(i) - like.dtype.type((size - 1) / 2)


@device
def _write_frame(out, frame, value):
    """Write a value into the frame of a window (D, H, W)."""
    depth, rows, columns = out.shape
    for z in range(depth):
        for y in range(rows):
            row = out[_i(z), _i(y)]
            if frame[0] <= z < depth - frame[0] and frame[1] <= y < rows - frame[1]:
                for x in range(frame[2]):
                    row[_i(x)] = row[_i(columns - 1 - x)] = value
            else:
                for x in range(_i(columns)):
                    row[x] = value


@inlined
def fill_whole(pixels, codes, index, value):
    """Write the pairs of a whole image into index and value (2, K), as many as there are columns.

    Indices are -1 for the death of an essential class. The columns after the pairs are filled with -1 and 0.

    pixels : (P,) the image. codes : see `records.Part`.
    """
    n = min(codes.size, index.shape[1])
    births, deaths, born, died = index[0], index[1], value[0], value[1]
    for j in range(n):
        birth, death = birth_of(codes[j]), death_of(codes[j])
        births[j], deaths[j] = birth, death
        born[j], died[j] = pixels[_i(birth)], pixels[_i(death)] if death >= 0 else np.inf
    births[n:], deaths[n:] = -1, -1
    born[n:], died[n:] = 0, 0


@inlined
def fill_copied(windows, i, codes, levels, index, value):
    """Write the pairs of window i, which is copied, into index and value (2, K), as many as there are columns.

    Indices are of pixels of the image, -1 in the frame and for the death of an essential class. The columns after the
    pairs keep their content.

    codes, levels : see `records.Part`.
    """
    n = min(codes.size, index.shape[1])
    births, deaths, born, died = index[0], index[1], value[0], value[1]
    corner = corner_of(windows, i)
    for j in range(n):
        births[j] = _located(windows, corner, birth_of(codes[j]))
        deaths[j] = _located(windows, corner, death_of(codes[j]))
        born[j], died[j] = levels[_i(2 * j)], levels[_i(2 * j + 1)]


@inlined
def fill_partners(places, partner):
    """Write the places of partners in the lists of the other image into a row (K,) as columns; -1 for none.

    A partner beyond the last column counts as none.
    """
    n, columns = min(places.size, partner.size), partner.size
    for j in range(n):
        partner[j] = places[j] if places[j] < columns else -1
    partner[n:] = -1


@device
def _located(windows, corner, position):
    """Return the flat index in the image of a position in a framed window; -1 in the frame and for -1."""
    size, frame, image = windows.size, windows.frame, windows.pred.shape
    columns, rows = size[2] + 2 * frame[2], size[1] + 2 * frame[1]
    row = quotient(position, columns)
    z = quotient(row, rows)
    x, y, z = position - row * columns - frame[2], row - z * rows - frame[1], z - frame[0]
    inside = (0 <= x < size[2]) & (0 <= y < size[1]) & (0 <= z < size[0]) & (position >= 0)
    return ((corner[0] + z) * image[2] + corner[1] + y) * image[3] + corner[2] + x if inside else -1


@inlined
def framed_size(windows):
    """Return the size of a window with its frame, (D, H, W)."""
    size, frame = windows.size, windows.frame
    return size[0] + 2 * frame[0], size[1] + 2 * frame[1], size[2] + 2 * frame[2]


@inlined
def position_in_grid(index, framed, ring):
    """Return the position in a window's grid, which has a ring, of a flat index in the window with its frame.

    framed : the size of the window with its frame, (D, H, W). ring : slices of the grid before the window, 0 in grids
    of images and 1 in those of volumes.
    """
    _, rows, columns = framed
    row = quotient(index, columns)
    position = index + 2 * row + columns + 3
    if ring == 0:
        return position
    z = quotient(row, rows)
    return position + (2 * z + rows + 2) * (columns + 2)
