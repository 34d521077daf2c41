"""`python -m bench.device.golden`: write the CPU's answers to all cases, which travel to machines without Numba's time.

Pairs, partners and counts are kept as hashes, since every device must give them bit for bit. Losses and gradients are
kept as tensors, since sums may be added up in another order.
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
    """Hash shapes, dtypes and bytes of tensors. All NaNs count as one, and so do the two zeros."""
    total = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array + np.asarray(0, array.dtype))
        total.update(f"{array.shape} {array.dtype}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def pairs(x: Tensor, construction: str) -> dict[str, list[Tensor]]:
    """All that `ops.persistence` returns of windows, on their device, in every dimension."""
    columns = max(1, min(x[0].numel(), 4096))
    found = ops.persistence(x, kernels.Query(tuple(range(x.dim() - 1)), construction == "T", 0.0, columns))
    index, value, count = (list(parts) for parts in zip(*found.pairs, strict=True))
    return {"status": [found.status], "index": index, "value": value, "count": count}


def partners(a: gpuph.Diagram, b: gpuph.Diagram, squared: bool, solver: str) -> dict[str, list[Tensor]]:
    """All that `ops.match` returns of two diagrams, on their device."""
    points_a, points_b = (kernels.Points(x.birth, x.death, x.count) for x in (a, b))
    partner_a, partner_b, gap = ops.match(points_a, points_b, squared, solver)
    return {"partners": [partner_a, partner_b], "gap": [gap]}


def hashed(case: Windows | Points) -> Hashes:
    """Hashes of a case's input and answers, by the kernels that are chosen."""
    if isinstance(case, Windows):
        x = case.make()
        inputs, answers = [x], pairs(x, case.construction)
    else:
        a, b = case.make()
        inputs, answers = [a.birth, a.death, b.birth, b.death], partners(a, b, case.squared, case.solver)
    return {"input": digest(inputs)} | {what: digest(tensors) for what, tensors in answers.items()}


def step(case: Maps) -> dict[str, np.ndarray]:
    """Loss and gradient of a case, and a hash of its input.

    Where the CPU raises because of a NaN, the loss on a device is NaN, and its gradient is not compared.
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
    """Read the loss of a case and its dense gradient back."""
    indices, slopes = (torch.from_numpy(golden[f"{case.name}/{part}"]) for part in ("gradient", "slopes"))
    gradient = torch.zeros((case.batch, 1, *case.shape), dtype=case.dtype)
    gradient[tuple(indices.long())] = slopes
    return torch.from_numpy(golden[f"{case.name}/loss"]), gradient


def all_cases() -> tuple[list[Windows | Points], list[Maps]]:
    """Every case with hashes, and every case with tensors."""
    return [*diagrams(2, small=False), *diagrams(3, small=False), *matchings(small=False)], losses(small=False)


def compute() -> tuple[dict[str, Hashes], dict[str, np.ndarray]]:
    """The CPU's answers to all cases."""
    exact, maps = all_cases()
    with gpuph.use_kernels("cpu"):
        hashes = {case.name: hashed(case) for case in exact}
        tensors: dict[str, np.ndarray] = {}
        for case in maps:
            tensors |= step(case)
    return hashes, tensors


def load() -> tuple[dict[str, Hashes], dict[str, np.ndarray]]:
    """The answers as they were written."""
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
