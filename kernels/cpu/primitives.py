"""What kernels use that Numba lacks: instructions for bits, an atomic one, and lists that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite.ir import Constant, IntType
from numba import int64
from numba.extending import intrinsic

from .jit import allocating


@intrinsic
def trailing_zeros(context: Any, x: Any) -> Any:
    """The number of the lowest bit that is set in an unsigned integer other than 0; one instruction."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], Constant(IntType(1), 1))

    return x(x), generate


@intrinsic
def bits_set(context: Any, x: Any) -> Any:
    """How many bits of an unsigned integer are set; one instruction."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return x(x), generate


@intrinsic
def fetch_and_add(context: Any, array: Any, more: Any) -> Any:
    """Add to the first element of an array of int64, in one step for all threads; returns what it was before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, args[1], "monotonic")

    return int64(array, int64), generate


@allocating
def twice(array):
    """A copy of a list with room for twice as much."""
    larger = np.empty(2 * array.size, array.dtype)
    larger[: array.size] = array
    return larger


@allocating
def appended(array, used, more):
    """A list of which so much is used, with more behind that; a larger copy where there is no room."""
    while used + more.size > array.size:
        array = twice(array)
    array[used : used + more.size] = more
    return array
