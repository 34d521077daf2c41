"""Spread the blocks of a launch over the multiprocessors of an H100, and say when the last one ends."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import chain, repeat
from typing import NamedTuple


class Device(NamedTuple):
    """What limits the blocks that run at a time.

    The defaults are an H100 SXM's, from "NVIDIA H100 Tensor Core GPU Architecture" and the table of compute capability
    9.0 in the CUDA C++ Programming Guide.
    """

    multiprocessors: int = 132
    # Of a multiprocessor:
    registers: int = 65536
    warps: int = 64
    blocks: int = 32
    shared: int = 228 * 1024
    l1: int = 256 * 1024  # together with the shared memory


H100 = Device()
_REGISTERS = 256  # registers are allocated to a warp in units of so many,
_WARPS = 4  # warps to the register files in fours,
_RESERVED = 1024  # and CUDA takes so many bytes of shared memory for itself in every block.


def resident(warps: int, registers: int, shared: int, device: Device = H100) -> int:
    """Return how many blocks a multiprocessor runs at a time.

    Parameters
    ----------
    warps : int
        Warps of a block.
    registers : int
        Registers of a thread.
    shared : int
        Bytes of shared memory of a block.
    """
    per_warp = max(1, -(-32 * registers // _REGISTERS)) * _REGISTERS
    by_registers = device.registers // per_warp // _WARPS * _WARPS // warps
    return min(device.blocks, device.warps // warps, by_registers, device.shared // (shared + _RESERVED))


def sectors(warps: int, registers: int, shared: int, device: Device = H100) -> int:
    """Return how many sectors of 32 bytes of the L1 a block has, where a multiprocessor runs as many as it can.

    The parameters are those of `resident`.
    """
    blocks = max(1, resident(warps, registers, shared, device))
    return max(1, (device.l1 // blocks - shared - _RESERVED) // 32)


def makespan(cycles: Iterable[int], slots: int, copies: int = 1) -> int:
    """Return the cycle at which the last block ends, when each block starts in order wherever a slot is free.

    Parameters
    ----------
    cycles : iterable of int
        The time that each block takes.
    slots : int
        How many blocks run at a time, on all multiprocessors together.
    copies : int
        How often the blocks repeat, one copy after the other.
    """
    cycles = list(cycles)
    if slots < 1:
        raise ValueError(f"slots must be at least 1, got {slots}: a block does not fit on a multiprocessor")
    ends = [0] * min(slots, copies * len(cycles))
    for block in chain.from_iterable(repeat(cycles, copies)):
        heapq.heapreplace(ends, ends[0] + block)
    return max(ends, default=0)
