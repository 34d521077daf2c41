"""The program of Hu et al.: `from gpuph.interop.topoloss import getTopoLoss`, not from `topoloss_pytorch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .. import arrays, checks, debug
from ..persistence import check_windows, pairs_of, query_of

__all__ = ["getTopoLoss"]

THRESHOLD, PERFECT = 0.03, 0.99


def getTopoLoss(likelihood_tensor: Tensor, gt_tensor: Tensor, topo_size: int = 100) -> Tensor:
    """Compute the value and the gradient of `getTopoLoss`, the program that Hu et al. published with their paper.

    This is for numbers that must be comparable with those of the program. It is not the loss of the paper; see Notes
    for what differs, and `gpuph.TopoLoss` for a loss without these differences.

    Parameters
    ----------
    likelihood_tensor : Tensor, shape (H, W), (B, H, W) or (B, 1, H, W)
        Logits of the foreground, of a floating-point dtype. The program takes one image; a batch is the sum over its
        images.
    gt_tensor : Tensor, same shape, but axes of size 1 before H may be missing
        Mask of 0 and 1, of any real dtype.
    topo_size : int
        Size of a patch, in pixels. Patches do not overlap; those at the end of the image are smaller.

    Returns
    -------
    Tensor, scalar
        In the dtype of the logits, but float32 for half precision.

    Raises
    ------
    TypeError
        If the logits are not a floating-point tensor, or the mask is not an array of real numbers.
    ValueError
        If the shapes do not fit together, there are no pixels, `topo_size` is below 1, or a value is NaN. On devices
        other than the CPU, a NaN makes the loss NaN, unless `set_debug` is on.

    Notes
    -----
    With p = sigmoid(likelihood_tensor), bars are the finite ones of dimension 0 of 1 - p in the T construction. The n
    longest are kept, where n is the number of bars of the mask. Pixels get reference values: of a kept bar, 0 at the
    birth and 1 at the death, unless it is longer than 0.99; of any other bar longer than 0.03, the p of its death at
    the birth, and the p of its birth at the death. The loss is the sum of (logit - reference)^2 over these pixels, with
    constant references. Patches whose mask has no bar in any dimension cost nothing.

    So the program differs from the paper in that it

    - compares references, which are probabilities, with logits;
    - pulls births of kept bars, which are maxima of p, to 0, and deaths to 1, because its bars are those of 1 - p;
    - takes bars of dimension 0, without a frame;
    - reads patches that are not square in the wrong order of axes, so that their rows are shifted against one another.

    All of this is reproduced. One choice is not: where one pixel ends several bars that are to be removed, the program
    keeps the reference of the one that comes last in an order that depends on GUDHI's numbering of edges; here, it is
    that of the shortest. Among pixels of equal value, the bars may be at other pixels.

    References
    ----------
    X. Hu, L. Fuxin, D. Samaras, C. Chen: Topology-preserving deep image segmentation. NeurIPS 2019. The program is
    `topoloss_pytorch.py` in the repository HuXiaoling/TopoLoss, at commit ee23f13.

    Examples
    --------
    >>> import torch
    >>> from gpuph.interop.topoloss import getTopoLoss
    >>> logits = torch.tensor([[3.0, -3.0, 1.0, -4.0, 2.0]], requires_grad=True)
    >>> mask = torch.tensor([[1, 0, 0, 0, 1]])
    >>> getTopoLoss(logits, mask).backward()
    >>> logits.grad  # the spot at 2.0 is the bar to keep, and the one at 1.0 is to be removed
    tensor([[  0.0000,  -7.4621,   1.9051, -10.0000,   4.0000]])
    """
    checks.tensors(likelihood_tensor=likelihood_tensor)
    checks.floats("likelihood_tensor", likelihood_tensor)
    size = checks.integer("topo_size", topo_size, least=1)
    logits = likelihood_tensor.float() if likelihood_tensor.dtype.itemsize < 4 else likelihood_tensor
    logits = _images("likelihood_tensor", logits)
    target = _images("gt_tensor", arrays.as_floats("gt_tensor", gt_tensor).detach()).to(logits.device)
    if logits.shape != target.shape:
        raise ValueError(
            "likelihood_tensor and gt_tensor must be images of the same number and size, got the shapes"
            f" {tuple(likelihood_tensor.shape)} and {tuple(gt_tensor.shape)}"
        )
    total = logits.new_zeros(())
    for tiles, truth in zip(_patches(logits, size), _patches(target, size), strict=True):
        total = total + _loss(tiles, truth)
    if debug.checks_now(logits):
        return total
    return total.masked_fill(logits.detach().isnan().any() | target.isnan().any(), torch.nan)  # a deferred error


class _Bars(NamedTuple):
    """The finite bars of dimension 0 of N patches, the longest first."""

    length: Tensor  # (N, K)
    birth: Tensor  # (N, K), int64: the pixel, or -1 for padding
    death: Tensor  # (N, K), likewise
    some: Tensor  # (N,), bool: whether there is a finite bar in any dimension


def _images(name: str, x: Tensor) -> Tensor:
    """Return an argument as images (B, H, W)."""
    if x.dim() not in (2, 3, 4) or (x.dim() == 4 and x.shape[1] != 1):
        raise ValueError(f"{name} must have the shape (H, W), (B, H, W) or (B, 1, H, W), got {tuple(x.shape)}")
    images = x.squeeze(1) if x.dim() == 4 else x if x.dim() == 3 else x.unsqueeze(0)
    check_windows(images, name)
    return images


def _patches(x: Tensor, size: int) -> Iterator[Tensor]:
    """Yield the patches (N, h, w) of images (B, H, W) of each size: inside, and at the right, lower and both ends."""
    height, width = (length - length % size for length in x.shape[1:])
    for part in (x[:, :height, :width], x[:, :height, width:], x[:, height:, :width], x[:, height:, width:]):
        if part.numel():
            h, w = (min(size, length) for length in part.shape[1:])
            yield part.unfold(1, h, h).unfold(2, w, w).flatten(0, 2)


def _bars(x: Tensor, name: str, dims: tuple[int, ...]) -> _Bars:
    """Return the bars of patches (N, h, w), read in the program's order of axes; `some` is of `dims` only."""
    read = x.reshape(len(x), x.shape[2], x.shape[1])
    found = pairs_of(read, query_of(read, dims, "T"))
    if debug.checks_now(x):
        debug.raise_status(found.status, (name,), 0)
    if debug.is_debugging():
        debug.warn_overflow(f"dimension 0 of {name}", found.pairs[0].count, found.pairs[0].index.shape[2])
    birth, death = found.pairs[0].index.unbind(1)
    value = found.pairs[0].value
    finite = death >= 0
    length = (value[:, 1] - value[:, 0]).where(finite, 0.0)
    some = torch.stack([(pairs.index[:, 1] >= 0).any(1) for pairs in found.pairs]).any(0)
    return _Bars(length, birth.where(finite, -1), death, some)


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the sum of the losses of patches (N, h, w)."""
    p = logits.detach().sigmoid()
    found, wanted = _bars(1 - p, "likelihood_tensor", (0,)), _bars(1 - target, "gt_tensor", (0, 1))
    lowest, highest = target.flatten(1).aminmax(dim=1)
    counted = (wanted.some & (lowest != 1) & (highest != 0))[:, None]
    finite = (found.death >= 0) & counted
    kept = finite & (found.death.ge(0).cumsum(1) <= wanted.death.ge(0).sum(1, keepdim=True))
    push, remove = kept & ~(found.length > PERFECT), finite & ~kept & (found.length > THRESHOLD)
    p, nowhere = p.flatten(1), p[0].numel()
    # One more pixel than the patch has takes what is not to be written.
    reference = torch.full((len(p), nowhere + 1), torch.nan, dtype=p.dtype, device=p.device)
    reference.scatter_(1, found.birth.where(push, nowhere), 0.0).scatter_(1, found.death.where(push, nowhere), 1.0)
    columns = torch.arange(found.death.shape[1], device=p.device).expand_as(found.death)
    death = found.death.where(remove, nowhere)
    last = columns.new_full(reference.shape, -1).scatter_reduce_(1, death, columns, "amax").gather(1, death)
    reference.scatter_(1, found.birth.where(remove, nowhere), p.gather(1, found.death.clamp(min=0)))
    reference.scatter_(1, death.where(last == columns, nowhere), p.gather(1, found.birth.clamp(min=0)))
    reference = reference[:, :nowhere].view_as(logits)
    return (logits - reference).where(~reference.isnan(), 0.0).square().sum()
