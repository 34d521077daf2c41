"""The localized loss without gpuph, window by window, in 2D and 3D: GUDHI's cubical complex and scipy's assignment."""

from __future__ import annotations

from collections.abc import Sequence

import gudhi
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from gpuph import Linear
from gpuph.windows import cut_windows, frame


def framed(pred: Tensor, target: Tensor, window: Sequence[int], height: Linear) -> tuple[Tensor, Tensor]:
    """Cut two maps (B, 1, *size) into windows with the height function and the frame, shape (N, *window + 2) each."""
    heights = height(1, window, pred, None)
    a, b = (cut_windows(x[:, 0], window, window) + heights for x in (pred, target))
    lowest = torch.minimum(a, b).detach().flatten(1).amin(dim=1)
    return frame(a, lowest), frame(b, lowest)


def localized_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Return the mean loss over framed windows, on loops."""
    return torch.stack([_cost(_loops(a), _loops(b)) for a, b in zip(pred, target, strict=True)]).mean()


def _loops(window: Tensor) -> Tensor:
    """Return births and deaths (k, 2) of the loops of a window. They are differentiable."""
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=window.detach().double().numpy())
    complex_.compute_persistence(homology_coeff_field=2, min_persistence=0)
    by_dimension, _ = complex_.cofaces_of_persistence_pairs()
    pixels = by_dimension[1] if len(by_dimension) > 1 else np.zeros((0, 2), np.int64)
    axes = np.unravel_index(pixels, window.shape, order="F")  # GUDHI numbers pixels along the first axis first
    return window[tuple(map(torch.from_numpy, axes))]


def _cost(a: Tensor, b: Tensor) -> Tensor:
    """Return the cost of the optimal matching of two diagrams, from the clipped matrix of savings."""
    unmatched_a, unmatched_b = ((x[:, 1] - x[:, 0]) ** 2 / 2 for x in (a, b))
    matched = (a[:, None] - b[None]).square().sum(dim=-1)
    saving = (unmatched_a[:, None] + unmatched_b[None] - matched).clamp(min=0)
    rows, columns = linear_sum_assignment(saving.detach().numpy(), maximize=True)
    return unmatched_a.sum() + unmatched_b.sum() - saving[rows, columns].sum()
