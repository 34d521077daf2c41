"""Validation of what losses are given, in addition to `gpuph.checks`."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import checks

WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def maps(name: str, x: Tensor, *, channels: str = "1") -> None:
    """Raise unless x is a batch of maps of one channel, or of one or more if `channels` is "C"."""
    checks.floats(name, x)
    untransformed(name, x)
    if x.dim() not in (4, 5) or not (x.shape[1] == 1 or (channels == "C" and x.shape[1] > 1)):
        shapes = f"(B, {channels}, H, W) or (B, {channels}, D, H, W)"
        raise ValueError(f"{name} must have the shape {shapes}, got {tuple(x.shape)}")
    if 0 in x.shape[2:]:
        raise ValueError(f"{name} must have images of at least one pixel, got the shape {tuple(x.shape)}")


def untransformed(name: str, x: Tensor) -> None:
    """Raise if x belongs to a function transform of `torch.func`, which cannot look into the kernels."""
    if not torch.compiler.is_compiling() and torch._C._functorch.is_functorch_wrapped_tensor(x):
        raise RuntimeError(
            f"{name} must not belong to a transform of torch.func, such as grad, vmap or jvp, which the losses do not"
            " support; got a transformed tensor. Use loss.backward() or torch.autograd.grad, and a batch for vmap"
        )


def pair(pred: Tensor, target: Tensor, *, masks: bool = False) -> None:
    """Raise unless prediction and truth are maps of the same shape on the same device; see `truth` for `masks`."""
    maps("pred", pred)
    truth(target, pred, masks=masks)
    if target.shape != pred.shape:
        raise ValueError(f"target must have pred's shape {tuple(pred.shape)}, got {tuple(target.shape)}")


def truth(target: Tensor, pred: Tensor, *, masks: bool) -> None:
    """Raise unless the truth is a tensor on pred's device, of floats, or else of booleans or integers if `masks`."""
    if not isinstance(target, Tensor) or target.dtype not in WHOLE:
        checks.floats("target", target)
    elif masks:
        checks.dense("target", target)
    else:
        raise TypeError(
            f"target must be float16, bfloat16, float32 or float64, got {target.dtype}; a distance map is expected, and"
            " gpuph.truncated_distance_map makes one of a mask"
        )
    untransformed("target", target)
    if target.device != pred.device:
        raise ValueError(f"target must be on pred's device {pred.device}, got {target.device}")


def binary(name: str, x: Tensor) -> None:
    """Raise if x holds integers other than 0 and 1."""
    if x.dtype not in WHOLE[1:] or x.numel() == 0:
        return
    low, high = (int(value) for value in x.aminmax())
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} must be a mask of 0 and 1, got {x.dtype} from {low} to {high}; divide a mask of 0 and 255 by 255,"
            " and see gpuph.OneVsRest for the labels of several classes"
        )
