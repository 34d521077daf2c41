"""Images and labels that the examples train on: crossing lines with noise."""

from __future__ import annotations

import torch
from torch import Tensor


def lines(n: int, size: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return images (n, 1, size, size), float32, and labels of the same shape: 1 on rows, 2 on columns, or 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(n, 1, size, size, dtype=torch.int64)
    for image, (row, column) in zip(
        labels, torch.randint(8, size - 8, (n, 2), generator=generator).tolist(), strict=True
    ):
        image[:, row - 1 : row + 2] = 1
        image[:, :, column - 1 : column + 2] = 2
    return labels / 2 + 0.3 * torch.randn(labels.shape, generator=generator), labels
