"""The loss of Kirchhoff et al. 2024 on the skeleton of the truth."""

from __future__ import annotations

from collections.abc import Sequence

from .. import checks
from ..tubes import tubes
from .base import Compared, Maps, nan_status, sum_pixels
from .soft_skeleton import WholeImageLoss


class SkeletonRecallLoss(WholeImageLoss):
    """The part of the true skeleton that the prediction misses.

    The skeleton of the truth is widened to a tube of a few pixels inside the true object, and the loss is one minus the
    mean probability in it. The prediction needs no skeleton, which makes the loss cheap. It says nothing about false
    objects, so add a Dice loss or a cross entropy.

    Parameters
    ----------
    radius : int
        How many steps along the axes a tube extends from the skeleton.
    smooth : float
        What is added to the sums over pixels, above 0.
    skeletonize : bool
        Whether `target` is a mask whose skeletons are computed in each call. If False, `target` already holds tubes:
        compute them once per image, with `gpuph.skeleton_tubes`, and augment them like the image.
    window, stride, reduction, graphed
        See `SoftClDiceLoss`.

    Raises
    ------
    TypeError, ValueError
        See `SoftClDiceLoss`.

    Warns
    -----
    UserWarning
        See `SoftClDiceLoss`.

    Notes
    -----
    Skeletons are those of `gpuph.skeleton_tubes`, where the authors use scikit-image's; both are as thin as can be and
    keep connections. The truth is a mask above 0.5. The authors' value is lower by 1.

    References
    ----------
    Y. Kirchhoff, M. R. Rokuss, S. Roy, B. Kovacs, C. Ulrich, T. Wald, M. Zenk, P. Vollmuth, J. Kleesiek, F. Isensee,
    K. Maier-Hein: Skeleton recall loss for connectivity conserving and resource efficient segmentation of thin tubular
    structures. ECCV 2024.

    Examples
    --------
    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 9, 99, dtype=torch.bool)
    >>> target[..., 4, :] = True
    >>> pred = target.float()
    >>> pred[..., 10:35] = 0.0  # a gap of a quarter
    >>> gpuph.SkeletonRecallLoss()(pred, target)
    tensor(0.2500)
    """

    settings = ("radius", "smooth", "skeletonize")

    def __init__(
        self,
        *,
        radius: int = 2,
        smooth: float = 1.0,
        skeletonize: bool = True,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        reduction: str = "mean",
        graphed: bool = False,
    ) -> None:
        super().__init__(window=window, stride=stride, reduction=reduction, graphed=graphed)
        self.radius = checks.integer("radius", radius)
        self.smooth = checks.number("smooth", smooth, positive=True)
        self.skeletonize = checks.boolean("skeletonize", skeletonize)

    def compare(self, maps: Maps) -> Compared:
        """Return one minus the mean probability in the tubes of each window."""
        p, t = maps.windows()
        tube = (tubes(t > 0.5, self.radius) if self.skeletonize else t > 0.5).to(p.dtype)
        found = sum_pixels(p * tube) + self.smooth
        return Compared(1.0 - found / (sum_pixels(tube) + self.smooth), nan_status(p, t))
