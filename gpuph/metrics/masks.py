"""What the metrics accept."""

from __future__ import annotations

import torch
from torch import Tensor


def as_batches(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check a pair of masks, shape (*spatial) or (B, 1, *spatial), and return them as (B, *spatial)."""
    for name, mask in (("pred", pred), ("target", target)):
        if not isinstance(mask, Tensor):
            raise TypeError(f"{name} must be a bool tensor, got {type(mask).__name__}")
        if mask.dtype != torch.bool:
            raise TypeError(f"{name} must be a bool tensor, got {mask.dtype}")
    if pred.shape != target.shape:
        raise ValueError(f"pred and target must have one shape, got {tuple(pred.shape)} and {tuple(target.shape)}")
    if pred.device != target.device:
        raise ValueError(f"pred and target must be on one device, got {pred.device} and {target.device}")
    batched = pred.dim() in (4, 5) and pred.shape[1] == 1
    spatial = pred.shape[2:] if batched else pred.shape
    if len(spatial) not in (2, 3) or 0 in spatial:
        raise ValueError(
            f"pred and target must have the shape (H, W), (D, H, W), (B, 1, H, W) or (B, 1, D, H, W) "
            f"with sides of at least 1, got {tuple(pred.shape)}"
        )
    return pred.reshape(-1, *spatial), target.reshape(-1, *spatial)
