"""`python -m bench.device.golden`: write the CPU's answers to all cases, so that a GPU's can be compared without Numba.

Pairs, partners and counts are stored as hashes, because every device must return the same bits. Losses and gradients
are stored as tensors, because devices may add sums in another order.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import gpuph
from gpuph import kernels, ops

from .cases import Maps, Points, Windows, diagrams, losses, matchings

FOLDER = Path(__file__).parent / "golden"
HASHES, LOSSES = FOLDER / "hashes.json", FOLDER / "losses.npz"

Hashes = dict[str, str]


def digest(tensors: Iterable[Tensor]) -> str:
    """Hash shapes, dtypes and bytes of tensors. All NaNs are the same, and so are both zeros."""
    total = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array + np.asarray(0, array.dtype))
        total.update(f"{array.shape} {array.dtype}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def pairs(x: Tensor, construction: str) -> dict[str, list[Tensor]]:
    """Return everything that `ops.persistence` returns for windows in all dimensions, on their device."""
    columns = max(1, min(x[0].numel(), 4096))
    found = ops.persistence(x, kernels.Query(tuple(range(x.dim() - 1)), construction == "T", 0.0, columns))
    index, value, count = (list(parts) for parts in zip(*found.pairs, strict=True))
    return {"status": [found.status], "index": index, "value": value, "count": count}


def partners(a: gpuph.Diagram, b: gpuph.Diagram, solver: str, *, squared: bool) -> dict[str, list[Tensor]]:
    """Return everything that `ops.match` returns for two diagrams, on their device."""
    points_a, points_b = (kernels.Points(x.birth, x.death, x.count) for x in (a, b))
    partner_a, partner_b, gap = ops.match(points_a, points_b, solver, squared=squared)
    return {"partners": [partner_a, partner_b], "gap": [gap]}


def hashed(case: Windows | Points) -> Hashes:
    """Return hashes of a case's input and answers, with the kernels that are in use."""
    if isinstance(case, Windows):
        x = case.make()
        inputs, answers = [x], pairs(x, case.construction)
    else:
        a, b = case.make()
        inputs, answers = [a.birth, a.death, b.birth, b.death], partners(a, b, case.solver, squared=case.squared)
    return {"input": digest(inputs)} | {what: digest(tensors) for what, tensors in answers.items()}


def step(case: Maps) -> dict[str, np.ndarray]:
    """Return the loss and gradient of a case, and a hash of its input.

    If the input has a NaN, the CPU raises. On a device the loss is NaN, and its gradient is not compared.
    """
    pred, target = case.make()
    if pred.isnan().any():
        loss, gradient = pred.new_tensor(torch.nan), torch.zeros_like(pred)
    else:
        loss, gradient = case.step(pred, target)
    return {
        f"{case.name}/input": np.array(digest([pred, target])),
        f"{case.name}/loss": loss.numpy(),
        f"{case.name}/gradient": gradient.to_sparse().coalesce().indices().numpy().astype(np.int32),
        f"{case.name}/slopes": gradient.to_sparse().coalesce().values().numpy(),
    }


def expected_step(case: Maps, golden: Mapping[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return the loss of a case and its gradient as a dense tensor, from the stored answers."""
    indices, slopes = (torch.from_numpy(golden[f"{case.name}/{part}"]) for part in ("gradient", "slopes"))
    gradient = torch.zeros((case.batch, 1, *case.shape), dtype=case.dtype)
    gradient[tuple(indices.long())] = slopes
    return torch.from_numpy(golden[f"{case.name}/loss"]), gradient


def all_cases() -> tuple[list[Windows | Points], list[Maps]]:
    """Return all cases with hashes, and all cases with tensors."""
    return [*diagrams(2, small=False), *diagrams(3, small=False), *matchings(small=False)], losses(small=False)


def compute() -> tuple[dict[str, Hashes], dict[str, np.ndarray]]:
    """Compute the CPU's answers to all cases."""
    exact, maps = all_cases()
    with gpuph.use_kernels("cpu"):
        hashes = {case.name: hashed(case) for case in exact}
        tensors: dict[str, np.ndarray] = {}
        for case in maps:
            tensors |= step(case)
    return hashes, tensors


def load() -> tuple[dict[str, Hashes], dict[str, np.ndarray]]:
    """Return the stored answers."""
    with np.load(LOSSES) as file:
        return json.loads(HASHES.read_text()), dict(file)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    hashes, tensors = compute()
    FOLDER.mkdir(exist_ok=True)
    HASHES.write_text(json.dumps(hashes, indent=0) + "\n")
    np.savez_compressed(LOSSES, **tensors)
    size = sum(path.stat().st_size for path in (HASHES, LOSSES))
    print(f"{len(hashes)} hashed answers and {len(tensors) // 4} losses, {size / 1e6:.2f} MB, in {FOLDER}")


if __name__ == "__main__":
    main()
