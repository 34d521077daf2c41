"""NUMBA_DISABLE_JIT=1 runs the kernels as Python, with the same results."""

from __future__ import annotations

import os
from pathlib import Path

import torch

import gpuph
from support.processes import python


def results() -> list[torch.Tensor]:
    torch.manual_seed(0)
    found = []
    images, volumes = torch.rand(3, 7, 6), torch.rand(2, 4, 5, 4)
    images[0, 2:4], volumes[0, 1] = 0.5, 0.25  # ties
    for x in (images, volumes, images.double()):
        for construction in ("T", "V"):
            diagrams = gpuph.persistence(x, construction=construction)
            for diagram in diagrams.values():
                found += [diagram.birth_index, diagram.death_index, diagram.count]
            for sets in gpuph.representatives(x, diagrams, (0, x.dim() - 2), construction).values():
                found += [sets.pixels, sets.start, sets.stop]
    diagram = gpuph.persistence(images)[1]
    other = gpuph.persistence(images.flip(0))[1]
    for solver in ("augment", "auction"):
        matching = gpuph.match(diagram, other, solver=solver)
        found += [matching.partner_a, matching.partner_b, matching.cost, matching.gap]
    for shape, spacing in (((9, 200), (2.0, 1.0)), ((5, 6, 7), (4.0, 1.0, 1.0))):
        found.append(gpuph.truncated_distance_map(torch.rand(2, 1, *shape) < 0.02, 9.0, spacing=spacing))
    for shape in ((9, 8), (5, 5, 5)):
        pred, target = torch.rand(2, 1, 1, *shape)
        manifolds = (1,) if len(shape) == 2 else (1, 2)
        for loss_fn in (
            gpuph.LocalizedPHLoss(window=5).eval(),
            gpuph.ConnectivityLoss(window=5),
            gpuph.MorseSkeletonLoss(min_persistence=0.01, manifolds=manifolds, window=5),
        ):
            x = pred.clone().requires_grad_()
            loss = loss_fn(x, (target * 2).floor())
            loss.backward()
            assert x.grad is not None
            found += [loss.detach(), x.grad]
    return found


def test_uncompiled_kernels_give_the_same_results(tmp_path: Path) -> None:
    file = tmp_path / "results"
    code = f"import torch, test_without_jit as t; torch.set_num_threads(2); torch.save(t.results(), {str(file)!r})"
    path = os.pathsep.join(map(str, Path(__file__).parents[:2]))
    done = python("-c", code, NUMBA_DISABLE_JIT="1", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    for found, expected in zip(torch.load(file), results(), strict=True):
        if expected.is_floating_point():
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(found, expected)
