"""Primitives that Numba lacks: bit instructions, atomic operations, fast quotients, and growing lists."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
from llvmlite.ir import Constant, IntType
from numba import config, int64
from numba.extending import intrinsic

from .jit import allocating, inlined


@intrinsic
def trailing_zeros(context: Any, x: Any) -> Any:
    """Return the index of the lowest set bit of an unsigned integer other than 0; one instruction."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], Constant(IntType(1), 1))

    return x(x), generate


@intrinsic
def bits_set(context: Any, x: Any) -> Any:
    """Return the number of set bits of an unsigned integer; one instruction."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return x(x), generate


@intrinsic
def fetch_and_add(context: Any, array: Any, more: Any) -> Any:
    """Add to the first element of an int64 array atomically, and return its previous value."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, args[1], "monotonic")

    return int64(array, int64), generate


@intrinsic
def load(context: Any, address: Any) -> Any:
    """Load the int64 at an address. The load is atomic, so the compiler does not move it out of a loop."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], IntType(64).as_pointer())
        return builder.load_atomic(pointer, "monotonic", 8, typ=IntType(64))

    return int64(int64), generate


if config.DISABLE_JIT:  # Python code cannot call intrinsics
    _one_at_a_time = threading.Lock()

    def trailing_zeros(x: Any) -> int:
        return (int(x) & -int(x)).bit_length() - 1

    def bits_set(x: Any) -> int:
        return int(x).bit_count()

    def fetch_and_add(array: Any, more: int) -> int:
        with _one_at_a_time:
            before = int(array[0])
            array[0] = before + more
        return before

    def load(address: int) -> int:
        return ctypes.c_int64.from_address(address).value


@inlined
def halted(halt):
    """Return whether the caller has asked the kernel to end early, through `interrupt.Halt`.

    halt : address of an int64 that another thread sets, or 0 for a call that cannot be interrupted. The int64 is never
    reset, so a function may return halfway if its callers check again before they use its results.
    """
    return halt != 0 and load(halt) != 0


@inlined
def quotient(position, width):
    """Return position // width for positions from 0 to 2^31, and 0 for -1."""
    return np.int64((position + 0.5) * (1.0 / width))  # a division would be slower; half a place more keeps it exact


@allocating
def twice(array):
    """Return a copy of a list with twice the capacity."""
    larger = np.empty(2 * array.size, array.dtype)
    for i in range(array.size):  # see `with_room`
        larger[i] = array[i]
    return larger


@allocating
def with_room(array, used, more):
    """Return a list with room for `more` entries after the first `used`: the list itself, or a larger copy of it."""
    if used + more <= array.size:
        return array
    larger = np.empty(2 * array.size + more, array.dtype)
    for i in range(used):  # Numba takes two seconds to compile the assignment of a slice
        larger[i] = array[i]
    return larger
