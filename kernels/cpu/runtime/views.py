"""Views of contiguous arrays, as NumPy's `view` and `reshape` make them, and the largest integers, as of `iinfo`.

Numba compiles NumPy's functions anew for all types of arguments, with checks that cannot fail here. That took a
twentieth of the time of compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite.ir import Constant
from numba import config, types
from numba.core.cgutils import unpack_tuple
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array


@intrinsic
def view(context: Any, array: Any, dtype: Any) -> Any:
    """Return a contiguous array's memory as numbers of another dtype, of the same size if there are several axes."""
    returned = array.copy(dtype=dtype.dtype)
    if array.layout != "C" or (array.ndim > 1 and array.dtype.bitwidth != returned.dtype.bitwidth):
        return None

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        size = context.get_constant(types.intp, returned.dtype.bitwidth // 8)
        source, out = make_array(array)(context, builder, args[0]), make_array(returned)(context, builder)
        shape, strides = unpack_tuple(builder, source.shape), unpack_tuple(builder, source.strides)
        if array.ndim == 1:
            shape, strides = [builder.sdiv(builder.mul(shape[0], source.itemsize), size)], [size]
        data = builder.bitcast(source.data, out.data.type)
        populate_array(out, data, shape, strides, size, source.meminfo, source.parent)
        return impl_ret_borrowed(context, builder, returned, out._getvalue())

    return returned(array, dtype), generate


@intrinsic
def reshaped(context: Any, array: Any, shape: Any) -> Any:
    """Return a contiguous array with another shape, a tuple, of as many elements."""
    returned = array.copy(ndim=len(shape))

    def lengths_of(context: Any, builder: Any, source: Any, lengths: Any) -> list[Any]:
        lengths = zip(unpack_tuple(builder, lengths), shape, strict=True)
        return [context.cast(builder, length, kind, types.intp) for length, kind in lengths]

    return _with_shape(array, returned(array, shape), lengths_of)


@intrinsic
def flat(context: Any, array: Any) -> Any:
    """Return a contiguous array with one axis."""
    returned = array.copy(ndim=1)
    return _with_shape(array, returned(array), lambda context, builder, source: [source.nitems])


def _with_shape(array: Any, signature: Any, lengths_of: Callable[..., list[Any]]) -> Any:
    """Return the signature and the code of an intrinsic that gives an array another shape.

    lengths_of : returns the lengths of the new axes, from the array and further arguments.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = make_array(array)(context, builder, args[0])
        out = make_array(signature.return_type)(context, builder)
        lengths, strides = lengths_of(context, builder, source, *args[1:]), [source.itemsize]
        for length in lengths[:0:-1]:
            strides.insert(0, builder.mul(strides[0], length))
        populate_array(out, source.data, lengths, strides, source.itemsize, source.meminfo, source.parent)
        return impl_ret_borrowed(context, builder, signature.return_type, out._getvalue())

    return (signature, generate) if array.layout == "C" else None


@intrinsic
def largest(context: Any, dtype: Any) -> Any:
    """Return the largest integer of a dtype, in this dtype."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return Constant(context.get_value_type(dtype.dtype), dtype.dtype.maxval)

    return dtype.dtype(dtype), generate


if config.DISABLE_JIT:  # Python code cannot call intrinsics

    def view(array: Any, dtype: Any) -> Any:
        return array.view(dtype)

    def reshaped(array: Any, shape: Any) -> Any:
        return array.reshape(shape)

    def flat(array: Any) -> Any:
        return array.reshape(-1)

    def largest(dtype: Any) -> Any:
        return np.dtype(dtype).type(np.iinfo(dtype).max)
