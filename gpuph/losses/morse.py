"""The loss of Hu et al. 2021, on the skeletons of discrete Morse theory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from .. import checks, hints, ops
from .base import Compared, Maps, WindowLoss, nan_status, sum_pixels
from .precision import promote


class MorseSkeletonLoss(WindowLoss):
    """A pixel-wise loss, restricted to the pixels where the prediction has a curve or a surface, however weak.

    The ridges of the predicted probabilities form a skeleton that bridges gaps that a threshold would leave. The loss
    is computed on this skeleton, where a pixel decides whether curves are connected.

    Parameters
    ----------
    min_persistence : float
        Saddles whose pair lasts no longer are cancelled, in units of the maps. With 0, noise is full of ridges.
    manifolds : sequence of int
        1 for curves; in volumes, 2 for surfaces such as membranes; or both.
    superlevel : bool
        Whether maps are high on curves, like probabilities, so that the skeleton follows ridges. Otherwise they are low
        there, like distance maps, and it follows valleys.
    base : callable, optional
        The pixel-wise loss, from windows of prediction and truth (N, *window) to values of the same shape; by default
        the binary cross entropy of probabilities. For distances, take `functools.partial(mse_loss, reduction="none")`.
        Off the skeleton, both inputs are 0 and the result is ignored. With `graphed`, it must not wait for the device.
    window, stride, reduction, graphed
        See `WindowLoss`. A window's value is the sum over its skeleton divided by the number of all its pixels.

    Raises
    ------
    TypeError, ValueError
        See `WindowLoss`. Also if `manifolds` has surfaces and the maps are images, or `base` does not give one value
        per pixel. The truth may be a mask of booleans or integers, unless `base` is given and `superlevel` is False.
    RuntimeError
        On a GPU, with `gpuph.set_debug(True)`, if the loops of a volume exceed their workspace. Otherwise the loss is
        NaN then.

    Warns
    -----
    UserWarning
        Once in a process, if `base` is the cross entropy and `pred` has values outside [0, 1], like logits, or `target`
        has, like a mask of 0 and 255. Checked on the CPU, outside of tracing, in the first batch.

    Notes
    -----
    A skeleton is a union of descending manifolds of the discrete gradient of the negative of the map (of the map itself
    for valleys), with pixels as vertices. A critical edge is a saddle; its 1-manifold is the edge and the two gradient
    paths from its ends down to minima, which are peaks of the probability. These separatrices follow the ridge; those
    from a saddle up cross it. In volumes, a critical square has a 2-manifold: the squares that the gradient leads to,
    bounded by such curves. In the paper, which has the opposite sign, both are the stable manifolds of saddles.

    Paths follow the steepest descent: a pixel leads to its lowest neighbour along the axes, if that is lower than
    itself, and among equal neighbours to the one with the smallest index. An edge leads to the square that it spans
    with the lowest free neighbour of its higher end. On maps without equal values, a flipped or transposed map
    therefore has the flipped or transposed skeleton.

    A saddle lasts as long as its pair: an edge that joins two components or closes a loop; a square that ends a loop or
    closes a void. If that is at most `min_persistence`, it is cancelled with its pair: paths to the minimum of the pair
    continue across the saddle, and surfaces continue across the edge of a cancelled square. Curves after cancellation
    are those of Dey, Wang, Wang, "Graph reconstruction by discrete Morse theory", 2018; surfaces may have more squares
    than after strict cancellation, which removes those reached twice. A ridge without a lasting saddle, such as a road
    that neither branches nor closes a loop nor has a weak spot, is not in the skeleton.

    A gradient that exceeds the range of half precision, like that of the cross entropy at small probabilities, is
    clamped to it. The gradient treats the skeleton as constant.

    References
    ----------
    X. Hu, Y. Wang, L. Fuxin, D. Samaras, C. Chen: Topology-aware segmentation using discrete Morse theory. ICLR 2021.

    Examples
    --------
    A ring is predicted with a weak spot, 0.25 instead of 1.

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

    settings = ("min_persistence", "manifolds", "superlevel", "base")

    def __init__(
        self,
        *,
        min_persistence: float = 0.05,
        manifolds: Sequence[int] = (1,),
        superlevel: bool = True,
        base: Callable[[Tensor, Tensor], Tensor] | None = None,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        reduction: str = "mean",
        graphed: bool = False,
    ) -> None:
        super().__init__(window=window, stride=stride, reduction=reduction, graphed=graphed)
        self.min_persistence = checks.number("min_persistence", min_persistence, 0.0)
        self.manifolds = checks.manifolds(manifolds)
        self.superlevel = checks.boolean("superlevel", superlevel)
        self.takes_masks = self.superlevel or base is None
        if base is not None and not callable(base):
            raise TypeError(f"base must be a callable or None, got {checks.shown(base)}")
        self.base = base

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps are not probabilities and a mask, as the cross entropy takes them."""
        return self.base is not None or hints.probabilities_and_mask(pred, target)

    def compare(self, maps: Maps) -> Compared:
        """Return the loss of each window: the sum over its skeleton, divided by the number of all its pixels."""
        if 2 in self.manifolds and len(maps.tiling.image) == 2:
            raise ValueError("manifolds must be (1,) for images: surfaces are in volumes only")
        p, t = maps.windows()
        with torch.no_grad():
            height = -p if self.superlevel else p
            skeleton, status = ops.skeleton_and_status(height, self.min_persistence, self.manifolds)
            status = torch.cat((status, nan_status(t).to(status.dtype)))
        p, t = (x.where(skeleton, 0.0) for x in (p, t))  # hide values off the skeleton, such as a NaN
        values = _cross_entropy(p, t) if self.base is None else self.base(p, t)
        if values.shape != p.shape:
            raise ValueError(f"base must give one value per pixel, shape {tuple(p.shape)}, got {tuple(values.shape)}")
        (values,) = promote(values.where(skeleton, 0.0))
        return Compared(sum_pixels(values) / math.prod(maps.tiling.window), status)


def _cross_entropy(p: Tensor, t: Tensor) -> Tensor:
    """The cross entropy of each pixel. Autocast refuses it on a GPU, though p and t are float32 or finer here."""
    with torch.autocast(p.device.type, enabled=False):
        return binary_cross_entropy(p, t, reduction="none")
