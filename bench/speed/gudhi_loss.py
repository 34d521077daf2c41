"""The localized loss without gpuph, window by window, in 2D and 3D: GUDHI's cubical complex, scipy's assignment."""

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
    """Windows (N, *window + 2) of two maps (B, 1, *size), with the height function and the frame."""
    heights = height(1, window, pred, None)
    a, b = (cut_windows(x[:, 0], window, window) + heights for x in (pred, target))
    lowest = torch.minimum(a, b).detach().flatten(1).amin(dim=1)
    return frame(a, lowest), frame(b, lowest)


def localized_loss(pred: Tensor, target: Tensor) -> Tensor:
    """The mean loss of framed windows, on loops."""
    return torch.stack([_cost(_loops(a), _loops(b)) for a, b in zip(pred, target, strict=True)]).mean()


def _loops(window: Tensor) -> Tensor:
    """Births and deaths (k, 2) of the loops of a window, differentiable."""
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=window.detach().double().numpy())
    complex_.compute_persistence(homology_coeff_field=2, min_persistence=0)
    pairs = complex_.cofaces_of_persistence_pairs()[0]
    pixels = pairs[1] if len(pairs) > 1 else np.zeros((0, 2), np.int64)
    axes = np.unravel_index(pixels, window.shape, order="F")  # GUDHI counts down the first axis first
    return window[tuple(map(torch.from_numpy, axes))]


def _cost(a: Tensor, b: Tensor) -> Tensor:
    """Cost of the optimal matching of two diagrams, by the clipped matrix of what each pair saves."""
    alone_a, alone_b = ((x[:, 1] - x[:, 0]) ** 2 / 2 for x in (a, b))
    apart = (a[:, None] - b[None]).square().sum(dim=-1)
    saving = (alone_a[:, None] + alone_b[None] - apart).clamp(min=0)
    rows, columns = linear_sum_assignment(saving.detach().numpy(), maximize=True)
    return alone_a.sum() + alone_b.sum() - saving[rows, columns].sum()
