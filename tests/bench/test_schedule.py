"""The cost model's schedule of blocks on multiprocessors."""

from __future__ import annotations

import pytest

from bench.device.schedule import Device, makespan, resident, sectors


def test_blocks_that_fit_at_once_take_as_long_as_the_longest() -> None:
    assert makespan([3, 9, 4], slots=3) == 9 == makespan([3, 9, 4], slots=100)


def test_next_block_starts_in_the_slot_that_is_free_first() -> None:
    """On two slots: 5 and 3; 4 after the 3, until 7; 2 after the 5, until 7; 6 after either."""
    assert makespan([5, 3, 4, 2, 6], slots=2) == 13
    assert makespan([6, 5, 4, 3, 2], slots=2) == 11  # in order: 6 and 3 beside 5 and 4, then 2
    assert makespan([5, 3, 4, 2, 6], slots=1) == 20


def test_makespan_includes_a_long_last_block() -> None:
    assert makespan([1] * 100 + [50], slots=10) == 10 + 50
    assert makespan([50] + [1] * 100, slots=10) == 50


@pytest.mark.parametrize("slots", [1, 3, 4, 64])
def test_copies_equal_repeated_blocks(slots: int) -> None:
    blocks = [7, 1, 5]
    assert makespan(blocks, slots, copies=6) == makespan(blocks * 6, slots)


def test_equal_blocks_run_in_waves() -> None:
    assert makespan([10] * 7, slots=3) == 30 and makespan([10], slots=132, copies=132 * 4 + 1) == 50


def test_no_blocks_take_no_time() -> None:
    assert makespan([], slots=4) == 0


def test_block_that_does_not_fit_raises() -> None:
    too_much = resident(warps=1, registers=32, shared=228 * 1024)
    assert too_much == 0
    with pytest.raises(ValueError, match="slots must be at least 1, got 0"):
        makespan([1], slots=132 * too_much)


@pytest.mark.parametrize(
    ("warps", "registers", "shared", "blocks"),
    [
        (1, 16, 0, 32),  # the largest number of blocks
        (4, 32, 0, 16),  # 64 warps
        (1, 72, 0, 28),  # 28 warps of 72 x 32 registers in 65536
        (4, 168, 0, 3),  # 12 warps of 168 x 32 registers
        (1, 255, 0, 8),  # rounded up to 256 x 32
        (1, 73, 0, 24),  # rounded up to 80 x 32: 25 warps, of which four register files take 6 each
        (4, 32, 48 * 1024, 4),  # 49 KiB of 228 each
        (32, 64, 0, 1),  # 32 warps of 1024 threads
    ],
)
def test_resident_blocks_equal_those_of_cudas_occupancy_calculator(
    warps: int, registers: int, shared: int, blocks: int
) -> None:
    assert resident(warps, registers, shared) == blocks


def test_resident_blocks_depend_on_the_device() -> None:
    small = Device(multiprocessors=2, registers=32768, warps=16, blocks=8, shared=64 * 1024)
    assert resident(1, 32, 0, small) == 8 and resident(4, 32, 0, small) == 4 and resident(1, 128, 40 * 1024, small) == 1


def test_blocks_share_the_l1_cache_with_shared_memory() -> None:
    """Of 256 KiB, 32 blocks have 8 each and 2 blocks 128, less their shared memory and the kibibyte that CUDA takes."""
    assert sectors(warps=1, registers=16, shared=0) == 7 * 1024 // 32
    assert sectors(warps=4, registers=192, shared=0) == 127 * 1024 // 32
    assert sectors(warps=4, registers=192, shared=27 * 1024) == 100 * 1024 // 32
    assert sectors(warps=1, registers=32, shared=227 * 1024) == 28 * 1024 // 32
