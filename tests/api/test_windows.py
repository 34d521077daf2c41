"""Windows and frames."""

from __future__ import annotations

import pytest
import torch

from gpuph.windows import cut_windows, frame, origin


@pytest.mark.parametrize(
    ("image", "window", "stride", "corners"),
    [
        ((8,), (4,), (4,), [0, 4]),
        ((10,), (4,), (4,), [0, 4, 6]),  # the last is shifted inwards
        ((9,), (4,), (2,), [0, 2, 4, 5]),
        ((3,), (4,), (4,), [0]),  # smaller than the window
        ((4,), (4,), (9,), [0]),
        ((12,), (4,), (6,), [0, 6, 8]),  # gaps are allowed, but not at the end
    ],
)
def test_last_window_is_shifted_inside_the_image(
    image: tuple[int], window: tuple[int], stride: tuple[int], corners: list[int]
) -> None:
    x = torch.arange(float(image[0]))[None]
    expected = torch.stack([x[0, c : c + window[0]] for c in corners])
    assert torch.equal(cut_windows(x, window, stride), expected)


def test_windows_are_ordered_by_image_row_and_column() -> None:
    x = torch.arange(2 * 5 * 7).view(2, 5, 7)
    windows = cut_windows(x, (3, 4), (2, 3))
    expected = [x[b, i : i + 3, j : j + 4] for b in range(2) for i in (0, 2) for j in (0, 3)]
    assert torch.equal(windows, torch.stack(expected))


def test_volumes_are_cut_along_all_three_axes() -> None:
    x = torch.arange(4 * 5 * 3).view(1, 4, 5, 3)
    expected = [x[0, i : i + 2, j : j + 3, :] for i in (0, 2) for j in (0, 2)]
    assert torch.equal(cut_windows(x, (2, 3, 8), (2, 3, 8)), torch.stack(expected))


def test_gradient_adds_up_over_overlapping_windows() -> None:
    x = torch.zeros(1, 5, 6, dtype=torch.float64, requires_grad=True)
    cut_windows(x, (4, 4), (4, 4)).sum().backward()
    rows, columns = torch.tensor([1, 2, 2, 2, 1]), torch.tensor([1, 1, 2, 2, 1, 1])
    assert torch.equal(x.grad, torch.outer(rows, columns)[None].double())


def test_frame_surrounds_the_window_without_changing_it() -> None:
    x = torch.randn(3, 4, 5, requires_grad=True)
    value = torch.tensor([-1.0, -2.0, float("-inf")])
    framed = frame(x, value)
    assert torch.equal(framed[:, 1:-1, 1:-1], x)
    on_frame = torch.ones(6, 7, dtype=torch.bool)
    on_frame[1:-1, 1:-1] = False
    assert torch.equal(framed[:, on_frame], value[:, None].expand(3, 22))
    framed.square().sum().backward()
    assert torch.equal(x.grad, 2 * x.detach())


@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize(
    ("image", "window", "stride"),
    [((9,), (4,), (3,)), ((5, 7), (3, 4), (2, 3)), ((4, 5, 3), (2, 3, 8), (2, 2, 8))],
)
def test_origin_maps_window_pixels_to_image_pixels(
    image: tuple[int, ...], window: tuple[int, ...], stride: tuple[int, ...], border: bool
) -> None:
    pixels = torch.arange(torch.Size(image).numel()).view(1, *image)
    windows = cut_windows(pixels, window, stride)
    if border:
        windows = frame(windows, torch.full((len(windows),), -1))
    corner, offset = origin(image, window, stride, torch.device("cpu"), border=border)
    assert torch.equal((corner[:, None] + offset).clamp(min=-1)[:, :-1], windows.flatten(1))
    assert (corner + offset[-1] < 0).all()
