"""The loss of Hu et al. 2021, on the skeletons of discrete Morse theory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from .. import checks, debug, hints, ops
from ..windows import cut_windows, tile
from .common import described, lifted, reduced


class MorseSkeletonLoss(torch.nn.Module):
    """A loss of pixels, on those pixels only where the prediction has a curve or a surface, however weak.

    The ridges of the predicted probabilities make a skeleton that bridges what a threshold would break: along it the
    network is told what is true and what is not, and so most where it matters for connections.

    Parameters
    ----------
    min_persistence : float
        Saddles whose pair lasts no longer are cancelled, in units of the maps. With none, noise is all ridges.
    manifolds : sequence of int
        1 for curves; in volumes, 2 for surfaces such as membranes; or both.
    superlevel : bool
        Maps are high on curves, as probabilities are, and the skeleton is that of ridges. Otherwise they are low there,
        as distance maps are, and it is that of valleys.
    base : callable, optional
        The loss of pixels: of windows of prediction and truth (N, *window), the same shape; by default the binary cross
        entropy of probabilities. For distances, take `functools.partial(mse_loss, reduction="none")`. Off the skeleton
        it is given zeros, and not asked.
    window : int or sequence of int, one an axis
        Size of a window, in pixels, 2 or more. An image that is smaller is one window.
    stride : int or sequence of int, optional
        Distance between windows, in pixels; by default the window's size. The last window is shifted inwards where it
        would leave the image.
    reduction : {"mean", "sum", "none"}
        Over windows; "none" gives the windows' values, shape (B, windows). A window's value is the sum on its skeleton
        by the number of all its pixels.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of those above. In a call: if prediction and truth are no floating-point tensors of one
        shape (B, 1, H, W) or (B, 1, D, H, W) on one device, or hold a NaN, or images are to have surfaces, or `base`
        does not give one value a pixel. On other devices than the CPU, a NaN makes the loss NaN, and raises with
        `gpuph.set_debug` only.

    Warns
    -----
    UserWarning
        Once, if maps are on another device than the CPU: skeletons are computed on the CPU.
        Once in a process, if `pred` has values outside of [0, 1], as logits have, or `target` has, as a mask of 0 and
        255, and `base` is the cross entropy. Only tensors on the CPU are looked at, outside of tracing, and each loss
        object looks at its first batch only.

    Notes
    -----
    A skeleton is a union of descending manifolds of the discrete gradient of the negative of the map (of the map itself
    for valleys), with pixels as vertices. A critical edge is a saddle; its 1-manifold is the edge and the two ways of
    the gradient from its ends down to minima, which are peaks of the probability: of all the separatrices, those that
    follow the ridge. (The others, from a saddle up, cross it.) A critical square, in volumes, has a 2-manifold, the
    squares that the gradient leads to, bounded by such curves. In the paper, where the sign is the other, both are the
    stable manifolds of saddles.

    Ways are the steepest: a pixel leads to its lowest neighbour along the axes, if that is lower than itself, and of
    equal ones to the one with the smallest index. An edge leads to the square that it spans with the lowest neighbour
    of its higher end which is left to it. So on maps whose values all differ, a skeleton is flipped and transposed with
    the map.

    A saddle lasts as long as its pair: an edge that joins two components, or closes a loop; a square that ends a loop,
    or closes a void. If that is not long enough, it is cancelled with its pair: ways that end in a minimum which it
    would have taken go on across it, and surfaces go on across an edge which a cancelled square would have taken.
    Curves after cancellation are those of Dey, Wang, Wang, "Graph reconstruction by discrete Morse theory", 2018;
    surfaces may have more squares than after cancellation in the strict sense, which takes away those reached twice. A
    ridge with no saddle that lasts, such as a road that neither branches nor closes a loop nor has a weak spot, is not
    in the skeleton.

    Values and gradients are in the dtype of the input, but float32 for half precision. A gradient that exceeds the
    range of half precision, as that of the cross entropy does for small probabilities, becomes the largest number in
    it. The skeleton is held constant under the gradient.

    References
    ----------
    X. Hu, Y. Wang, L. Fuxin, D. Samaras, C. Chen: Topology-aware segmentation using discrete Morse theory. ICLR 2021.

    Examples
    --------
    A ring is predicted with a weak spot, where the loss finds 0.25 instead of 1.

    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 7, 7)
    >>> target[..., 1:6, 1:6] = 1.0
    >>> target[..., 2:5, 2:5] = 0.0
    >>> pred = target.clone()
    >>> pred[..., 1, 3] = 0.25
    >>> loss_fn = gpuph.MorseSkeletonLoss(base=lambda p, t: (p - t) ** 2, reduction="sum")
    >>> loss_fn(pred, target) * 49
    tensor(0.5625)
    """

    _looked = False  # whether `hints` have seen the input of a call

    def __init__(
        self,
        min_persistence: float = 0.05,
        manifolds: Sequence[int] = (1,),
        superlevel: bool = True,
        base: Callable[[Tensor, Tensor], Tensor] | None = None,
        window: int | Sequence[int] = 64,
        stride: int | Sequence[int] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.min_persistence = checks.number("min_persistence", min_persistence, 0.0)
        self.manifolds = checks.manifolds(manifolds)
        self.superlevel = checks.boolean("superlevel", superlevel)
        if base is not None and not callable(base):
            raise TypeError(f"base must be a callable or None, got {checks.shown(base)}")
        self.base = base
        self.window = checks.sizes("window", window, 2)
        self.stride = self.window if stride is None else checks.sizes("stride", stride, 1)
        self.reduction = checks.reduction(reduction)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        pred, target : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), floating point
            Predicted and true maps.

        Returns
        -------
        Tensor
            A scalar, or shape (B, windows) if reduction="none"; in the units of `base`.
        """
        checks.pair(pred, target)
        size = pred.shape[2:]
        if 2 in self.manifolds and len(size) == 2:
            raise ValueError("manifolds must be (1,) for images: surfaces are in volumes only")
        window = checks.fitting("window", self.window, len(size))
        stride = checks.fitting("stride", self.stride, len(size))
        if self.base is None and debug.is_eager_cpu(pred) and not self._looked:
            self._looked = hints.probabilities("pred", pred) & hints.mask("target", target)
        per_image = tile(size, window, stride).windows()
        p, t = (cut_windows(image[:, 0], window, stride) for image in lifted(pred, target))
        with torch.no_grad():
            status = torch.cat([x.flatten(1).isnan().any(dim=1) for x in (p, t)])
            skeleton = ops.skeleton(-p if self.superlevel else p, self.min_persistence, self.manifolds)
        p, t = (x.where(skeleton, 0.0) for x in (p, t))  # what is elsewhere, such as a NaN, is none of base's business
        values = _cross_entropy(p, t) if self.base is None else self.base(p, t)
        if values.shape != p.shape:
            raise ValueError(f"base must give one value a pixel, shape {tuple(p.shape)}, got {tuple(values.shape)}")
        loss = values.where(skeleton, 0.0).flatten(1).mean(dim=1)
        return reduced(loss.view(len(pred), per_image), status, ("pred", "target"), self.reduction)

    def extra_repr(self) -> str:
        return described(self, "min_persistence manifolds superlevel base window stride reduction")


def _cross_entropy(p: Tensor, t: Tensor) -> Tensor:
    """The cross entropy of each pixel. Autocast refuses it on a GPU, though p and t are float32 or finer here."""
    with torch.autocast(p.device.type, enabled=False):
        return binary_cross_entropy(p, t, reduction="none")
