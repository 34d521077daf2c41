"""Schedule the blocks of a launch on the multiprocessors of an H100."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import chain, repeat
from typing import NamedTuple


class Device(NamedTuple):
    """Limits of the blocks that run at the same time.

    The defaults are those of an H100 SXM, from "NVIDIA H100 Tensor Core GPU Architecture" and the table of compute
    capability 9.0 in the CUDA C++ Programming Guide.
    """

    multiprocessors: int = 132
    # Per multiprocessor:
    registers: int = 65536
    warps: int = 64
    blocks: int = 32
    shared: int = 228 * 1024
    l1: int = 256 * 1024  # together with the shared memory


H100 = Device()
_REGISTERS = 256  # unit in which registers are allocated to a warp
_WARPS = 4  # register files of a multiprocessor, among which warps are distributed evenly
_RESERVED = 1024  # bytes of shared memory that CUDA reserves in every block


def resident(warps: int, registers: int, shared: int, device: Device = H100) -> int:
    """Return how many blocks a multiprocessor runs at the same time.

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
    """Return how many 32-byte sectors of the L1 cache a block has when a multiprocessor runs as many blocks as fit.

    The parameters are those of `resident`.
    """
    blocks = max(1, resident(warps, registers, shared, device))
    return max(1, (device.l1 // blocks - shared - _RESERVED) // 32)


def makespan(cycles: Iterable[int], slots: int, copies: int = 1) -> int:
    """Return the cycle at which the last block ends. Blocks start in order, each in the first slot that is free.

    Parameters
    ----------
    cycles : iterable of int
        The duration of each block.
    slots : int
        Number of blocks that run at the same time, on all multiprocessors together.
    copies : int
        How often the blocks are repeated, one copy after the other.
    """
    cycles = list(cycles)
    if slots < 1:
        raise ValueError(f"slots must be at least 1, got {slots}: a block does not fit on a multiprocessor")
    ends = [0] * min(slots, copies * len(cycles))
    for block in chain.from_iterable(repeat(cycles, copies)):
        heapq.heapreplace(ends, ends[0] + block)
    return max(ends, default=0)
