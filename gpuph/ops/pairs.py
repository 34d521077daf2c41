"""Conversion of persistence pairs between the flat results of an operator and records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gpuph.kernels import Found, Pairs

from .backend import Array, tensor

# What an operator returns: PyTorch converts the values of a schema from and to plain tuples and lists, so this is not a
# record. `flat` and `named` are the only functions that take it apart.
Flat = tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]


def flat(found: Found[Tensor]) -> Flat:
    """Return pairs as an operator's schema has them: status, and indices, values and counts of each dimension."""
    pairs = found.pairs
    return found.status, [x.index for x in pairs], [x.value for x in pairs], [x.count for x in pairs]


def named(found: Flat) -> Found[Tensor]:
    """Return the results of an operator as records; the inverse of `flat`."""
    status, index, value, count = found
    return Found(status, [Pairs(i, v, n) for i, v, n in zip(index, value, count, strict=True)])


def flat_on(device: torch.device, found: Found[Array]) -> Flat:
    """Return pairs that the CPU's kernels found as an operator on a device returns them."""
    on = torch.from_numpy if device.type == "cpu" else partial(tensor, device=device)
    pairs = found.pairs
    return on(found.status), [on(x.index) for x in pairs], [on(x.value) for x in pairs], [on(x.count) for x in pairs]


def narrowed(found: Found[Tensor]) -> Found[Tensor]:
    """Drop the columns that no window has pairs for, as the CPU's kernels do."""
    pairs = []
    for index, value, count in found.pairs:
        columns = int(count.amax()) if len(count) else 0
        pairs.append(Pairs(index[:, :, :columns].clone(), value[:, :, :columns].clone(), count))
    return Found(found.status, pairs)


def lasting(value: Tensor, count: Tensor, min_persistence: float) -> Tensor:
    """Return the number of pairs in each window without those that last no longer, which are the last ones.

    value, count : (N, 2, K) and (N,), as in `Pairs`.
    """
    if min_persistence == 0:
        return count
    birth, death = value.unbind(dim=1)
    columns = torch.arange(birth.shape[1], device=birth.device)
    kept = ((columns < count[:, None]) & (death - birth > min_persistence)).sum(dim=1)
    # Where all columns are kept, there may be more pairs than columns: an overflow remains visible.
    return kept.where(kept < birth.shape[1], count)


def fake_pairs(like: Tensor, n: int, dims: Sequence[int], capacity: int | None) -> Flat:
    """Return the status and pairs of n windows without data, for tracing; pairs have the dtype of `like`."""
    pairs = []
    for _ in dims:
        k = torch.library.get_ctx().new_dynamic_size() if capacity is None else capacity
        shape = (n, 2, k)
        count = like.new_empty((n,), dtype=torch.int64)
        pairs.append(Pairs(like.new_empty(shape, dtype=torch.int64), like.new_empty(shape), count))
    return flat(Found(like.new_empty((n,), dtype=torch.int32), pairs))
