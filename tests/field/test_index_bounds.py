"""Indices out of range raise an error and never touch other memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpuph import ops
from gpuph.kernels import Matched, Pairs, Points, Tiling

DTYPES = [torch.float32, torch.float64, torch.float16]
BEYOND = [5, 6, 1 << 20, 1 << 40, 2**63 - 1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beyond", BEYOND)
def test_gather_raises_beyond_the_end_of_a_row(beyond: int, dtype: torch.dtype) -> None:
    values = torch.arange(10.0).view(2, 5).to(dtype)
    with pytest.raises(IndexError, match=f"less than the number of values in a row, 5, got {beyond}"):
        ops.gather(values, torch.tensor([[0, beyond], [1, -1]]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beyond", BEYOND)
def test_scatter_raises_beyond_the_end_of_a_row(beyond: int, dtype: torch.dtype) -> None:
    with pytest.raises(IndexError, match=f"less than the number of values in a row, 5, got {beyond}"):
        ops.scatter(torch.ones(2, 2, dtype=dtype), torch.tensor([[0, 1], [beyond, -1]]), 5)


def test_last_index_and_negative_indices_are_in_range() -> None:
    values, index = torch.arange(1.0, 11.0).view(2, 5), torch.tensor([[4, -1], [-(2**63), 0]])
    assert ops.gather(values, index).tolist() == [[5.0, 0.0], [0.0, 6.0]]
    assert ops.scatter(torch.ones(2, 2), index, 5).tolist() == [[0.0, 0, 0, 0, 1], [1.0, 0, 0, 0, 0]]


def test_reading_from_an_empty_row_raises() -> None:
    with pytest.raises(IndexError, match="values in a row, 0"):
        ops.gather(torch.zeros(1, 0), torch.zeros(1, 1, dtype=torch.int64))
    assert ops.gather(torch.zeros(1, 0), torch.full((1, 3), -1)).tolist() == [[0.0, 0.0, 0.0]]
    assert ops.scatter(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), 2).shape == (0, 2)


def test_mismatched_rows_raise() -> None:
    index = torch.zeros(3, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="as many rows as values, 2, got 3"):
        ops.gather(torch.zeros(2, 5), index)
    with pytest.raises(ValueError, match="the shape of values"):
        ops.scatter(torch.zeros(3, 1), index, 5)


@pytest.mark.parametrize("threads", [1, 3])
def test_single_invalid_index_among_many_raises(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        index = torch.zeros(64, 4096, dtype=torch.int64)
        index[63, 4095] = 7
        with pytest.raises(IndexError, match="got 7"):
            ops.gather(torch.zeros(64, 7), index)
        with pytest.raises(IndexError, match="got 7"):
            ops.scatter(torch.zeros(64, 4096), index, 7)
    finally:
        torch.set_num_threads(before)


def slopes(index: int, count: int = 2, windows: int = 4) -> Tensor:
    indices = torch.zeros(windows, 2, 3, dtype=torch.int64)
    indices[windows - 1, 1, 1] = index
    counts = torch.full((windows,), count)
    tiling = Tiling((1, 9), (1, 8), (1, 1), border=False)  # two windows for each image
    return ops.scatter_slopes(torch.ones(windows, 2, 3), indices, counts, torch.ones(windows), tiling)


def test_scatter_slopes_raises_beyond_the_end_of_an_image() -> None:
    assert slopes(8)[1, 8] == 1.0
    with pytest.raises(IndexError, match="values in a row, 9, got 9"):
        slopes(9)


def test_scatter_slopes_ignores_padding() -> None:
    assert slopes(9, count=1).sum() == 8.0


def test_scatter_slopes_requires_all_windows_of_each_image() -> None:
    with pytest.raises(ValueError, match="all 2 windows of each image, got 3"):
        slopes(0, windows=3)


def cost(partner_a: list[int], partner_b: list[int]) -> Tensor:
    points = Points(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 5.0]]), torch.tensor([2]))
    matched = Matched(torch.tensor([partner_a]), torch.tensor([partner_b]), torch.zeros(1))
    return ops.cost(points, points, matched, squared=True)


@pytest.mark.parametrize("beyond", [2, 3, 1 << 40])
def test_cost_raises_for_partners_out_of_range(beyond: int) -> None:
    assert cost([0, 1], [0, 1]).item() == 0.0
    with pytest.raises(IndexError, match=f"partner_a must be less than the number of columns of b, 2, got {beyond}"):
        cost([0, beyond], [0, -1])
    with pytest.raises(ValueError, match="partner_b must have shape"):
        cost([0, 1], [0])


def test_gradient_of_attach_raises_for_pixels_outside_the_image() -> None:
    image = torch.zeros(1, 3, 3, requires_grad=True)
    pairs = Pairs(torch.tensor([[[9], [0]]]), torch.zeros(1, 2, 1), torch.tensor([1]))
    birth, _ = ops.attach(pairs, image)
    with pytest.raises(IndexError, match="values in a row, 9, got 9"):
        birth.sum().backward()
