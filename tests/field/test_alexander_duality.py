"""Alexander duality between the two constructions, as cripser tests it (tests/test_alexander.py, S. Kaji).

The setting is theirs: noise of 10 pixels an axis, and the embedding of the image into a sphere by a layer of pixels
that come first. Finite pairs (b, d) of T in dimension k are pairs (-d, -b) of V of the embedded negative in dimension
n - 1 - k. They also have n = 4, which is not supported here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import gpuph
from support import inputs


def embedded(x: Tensor) -> Tensor:
    """Return the negatives of images x (N, ...), padded with a value below all of theirs."""
    lowest = -x.amax() - 1
    return torch.nn.functional.pad(-x, [1, 1] * (x.dim() - 1), value=float(lowest))


def finite(diagram: gpuph.Diagram, above: float = -np.inf) -> list[Tensor]:
    """Return the finite points born above a value, sorted, for each window."""
    kept = [p[p.isfinite().all(dim=1) & (p[:, 0] > above)] for p in diagram.to_list()]
    return [p[np.lexsort((p[:, 1], p[:, 0]))] for p in kept]


def check(x: Tensor) -> int:
    """Compare both sides and return the number of pairs."""
    rank = x.dim() - 1
    inner = embedded(x)
    one, other = gpuph.persistence(x, None, "T"), gpuph.persistence(inner, None, "V")
    n = 0
    for dim in range(rank):
        # The class born in the layer is the sphere itself.
        turned = [-p.flip(1) for p in finite(other[rank - 1 - dim], float(inner.amin()))]
        for a, b in zip(finite(one[dim]), turned, strict=True):
            assert torch.equal(a, b[np.lexsort((b[:, 1], b[:, 0]))])
            n += len(a)
    return n


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_pairs_of_noise_are_dual(rank: int, dtype: torch.dtype) -> None:
    noise = np.random.default_rng(0).random((10,) * rank)
    assert check(torch.from_numpy(noise).to(dtype)[None]) > 10


@pytest.mark.parametrize("kind", ["smooth", "integers", "checkerboard", "constant", "ramp"])
@pytest.mark.parametrize("shape", [(9, 14), (1, 7), (5, 6, 7), (1, 1, 1)])
def test_finite_pairs_of_other_fields_are_dual(shape: tuple[int, ...], kind: str) -> None:
    check(torch.stack([torch.from_numpy(inputs.image(kind, shape, seed)) for seed in range(3)]))


@pytest.mark.parametrize("rank", [2, 3])
def test_essential_component_is_dual_to_the_sphere(rank: int) -> None:
    """The layer bounds the last void, which is filled where the image is lowest."""
    x = torch.from_numpy(np.random.default_rng(1).random((10,) * rank))[None]
    inner = embedded(x)
    void = gpuph.persistence(inner, (rank - 1,), "V")[rank - 1].to_list()[0]
    (born,) = void[void[:, 0] == inner.amin()][:, 1].tolist()
    component = gpuph.persistence(x, (0,), "T")[0].to_list()[0]
    assert component[component[:, 1].isinf()][:, 0].tolist() == [-born]
