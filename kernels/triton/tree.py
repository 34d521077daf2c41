"""The words of merge trees: of an extremum, the saddle at which its class ends, and the elder that it merges into.

A root is its own elder, and has no saddle. Small windows have words of 32 bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_LOW = tl.constexpr(15)  # bits of the elder in a word of 32 bits; the saddle has the others
_ELDER, _SADDLE = tl.constexpr(2**15 - 1), tl.constexpr(2**17 - 1)


def empty_trees(n: int, pixels: int, each: int, device: torch.device) -> Tensor:
    """Trees of n windows, (n, pixels + 1), the last place for the outside; a pixel owns up to `each` saddles."""
    short = pixels <= _ELDER.value and each * pixels <= _SADDLE.value
    return torch.empty((n, pixels + 1), dtype=torch.int32 if short else torch.int64, device=device)


@triton.jit
def unpacked(word):
    """The saddle and the elder of words."""
    if word.dtype == tl.int32:
        saddle, elder = (word >> _LOW) & _SADDLE, word & _ELDER
    else:
        saddle, elder = (word >> 32).to(tl.int32), word.to(tl.int32)
    return saddle, elder


@triton.jit
def packed(saddle, elder, dtype: tl.constexpr):
    """Words of links at a saddle to an elder."""
    return saddle << _LOW | elder if dtype == tl.int32 else saddle.to(tl.int64) << 32 | elder.to(tl.int64)
