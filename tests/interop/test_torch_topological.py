"""`gpuph.interop.torch_topological` against GUDHI, which torch_topological calls."""

from __future__ import annotations

import pickle

import gudhi
import numpy as np
import pytest
import torch
from torch import Tensor

from gpuph.interop.torch_topological import CubicalComplex, PersistenceInformation
from support import inputs

SHAPES = ((7, 12), (12, 5), (16, 16), (1, 9), (1, 1), (3, 4, 5), (6, 6, 6), (9, 7, 8), (37,), (1,))


def expected_pairs(x: np.ndarray) -> list[np.ndarray]:
    """Return GUDHI's pairs in each dimension as indices (n, 2 * axes); the essential class ends at the maximum."""
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=x)
    complex_.persistence()
    pairs, essential = complex_.cofaces_of_persistence_pairs()
    highest = np.ravel_multi_index(np.unravel_index(x.argmax(), x.shape), x.shape, order="F")
    listed = [pairs[dim] if dim < len(pairs) else np.zeros((0, 2), int) for dim in range(x.ndim)]
    listed[0] = np.concatenate((listed[0], [[essential[0][0], highest]]))
    return [
        np.concatenate([np.stack(np.unravel_index(part, x.shape, order="F"), 1) for part in each.T], 1)
        for each in listed
    ]


def without_ties(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape)).float()


@pytest.mark.parametrize("superlevel", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_pairs_of_distinct_values_are_those_of_gudhi(shape: tuple[int, ...], seed: int, superlevel: bool) -> None:
    x = without_ties(shape, seed)
    found = CubicalComplex(superlevel=superlevel, dim=len(shape))(x)
    values = -x if superlevel else x
    for dim, (each, expected) in enumerate(zip(found, expected_pairs(values.numpy()), strict=True)):
        assert each.dimension == dim and each.pairing.dtype == torch.int64 and each.diagram.dtype == x.dtype
        assert sorted(each.pairing.tolist()) == sorted(expected.tolist())
        places = each.pairing.unflatten(1, (2, len(shape))).unbind(2)
        assert torch.equal(each.diagram, values[places])
        deaths = values.numpy()[tuple(expected[:, len(shape) :].T)]
        np.testing.assert_array_equal(each.diagram[:, 1].numpy(), deaths)  # the order


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(7, 12), (6, 9, 7), (37,)])
def test_diagrams_with_ties_have_the_values_of_gudhi(shape: tuple[int, ...], kind: str) -> None:
    x = inputs.image(kind, shape)
    found = CubicalComplex(dim=len(shape))(x)
    for each, expected in zip(found, expected_pairs(x), strict=True):
        places = [tuple(part) for part in np.split(expected.T, 2)]
        assert sorted(each.diagram.tolist()) == sorted(np.stack([x[part] for part in places], 1).tolist())


def test_gradients_are_at_the_pixels_of_pairs() -> None:
    for shape in ((9, 14), (4, 6, 5)):
        x = without_ties(shape, 0).requires_grad_()
        weights = torch.rand(2, generator=torch.Generator().manual_seed(0))
        sum((each.diagram**2 * weights).sum() for each in CubicalComplex(dim=len(shape))(x)).backward()
        expected = torch.zeros(shape)
        for pairs in expected_pairs(x.detach().numpy()):
            for weight, part in zip(weights, np.split(pairs.T, 2), strict=True):
                place = tuple(map(torch.from_numpy, part))
                expected.index_put_(place, 2 * weight * x.detach()[place], accumulate=True)
        torch.testing.assert_close(x.grad, expected)


def test_batches_are_nested_lists() -> None:
    x = torch.stack([without_ties((5, 8), seed) for seed in range(6)]).view(3, 2, 5, 8)
    batch = CubicalComplex()(x)
    assert len(batch) == 3 and all(len(image) == 2 for image in batch)
    for image, part in zip(batch, x, strict=True):
        for channel, found, alone in zip(part, image, CubicalComplex()(part), strict=True):
            for one, two, three in zip(found, alone, CubicalComplex()(channel), strict=True):
                assert torch.equal(one.pairing, two.pairing) and torch.equal(one.pairing, three.pairing)
                assert torch.equal(one.diagram, two.diagram) and torch.equal(one.diagram, three.diagram)
    assert CubicalComplex()(x[:0]) == [] and CubicalComplex(dim=3)(x[0])[2].dimension == 2
    strided = x.transpose(2, 3)
    assert torch.equal(
        CubicalComplex()(strided)[0][0][0].diagram, CubicalComplex()(strided.contiguous())[0][0][0].diagram
    )


def test_information_is_no_iterable_and_can_be_pickled() -> None:
    information = CubicalComplex()(without_ties((5, 8), 0))[0]
    with pytest.raises(TypeError, match="not iterable"):
        iter(information)
    copy = pickle.loads(pickle.dumps(information))
    assert isinstance(copy, PersistenceInformation) and torch.equal(copy.diagram, information[1])
    assert PersistenceInformation(*[torch.zeros(0, 2)] * 2).dimension is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_kept(dtype: torch.dtype) -> None:
    x = without_ties((6, 7), 0)
    for found, expected in zip(CubicalComplex()(x.to(dtype)), CubicalComplex()(x), strict=True):
        assert found.diagram.dtype == dtype and torch.equal(found.diagram.float(), expected.diagram)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"x must have 2 axes of an image, .* got the shape \(3,\)"):
        CubicalComplex()(torch.zeros(3))
    with pytest.raises(ValueError, match=r"x must have 1 axes of an image, .* got the shape \(1, 2, 3, 4\)"):
        CubicalComplex(dim=1)(torch.zeros(1, 2, 3, 4))
    with pytest.raises(ValueError, match="dim must be"):
        CubicalComplex(dim=4)
    with pytest.raises(ValueError, match="x must have no NaN"):
        CubicalComplex()(torch.full((2, 2), torch.nan))
