"""The loss of Shit et al. 2021 on soft skeletons."""

from __future__ import annotations

from collections.abc import Sequence

from .. import checks
from .base import Compared, Maps, sum_pixels
from .soft_skeleton import WholeImageLoss, soft_skeleton


class SoftClDiceLoss(WholeImageLoss):
    """One minus the harmonic mean of how much of either soft skeleton lies in the other object.

    The skeleton of the prediction should lie in the true object (precision), and the true skeleton in the predicted one
    (sensitivity), so that thick and thin curves count alike. Skeletons are those of iterated min- and max-pooling.

    Parameters
    ----------
    iterations : int
        Number of erosions: at least half the width, in pixels, of the thickest object.
    smooth : float
        What is added to the sums over pixels, above 0.
    window : int or sequence of int, one per axis, optional
        Size of a window, in pixels, 2 or more; by default, each image is compared whole. See `WindowLoss`.
    stride, reduction, graphed
        See `WindowLoss`.

    Raises
    ------
    TypeError, ValueError
        See `WindowLoss`. The truth is a mask of 0 and 1, of floats, booleans or integers.

    Warns
    -----
    UserWarning
        Once in a process, if `pred` has values outside [0, 1], like logits, or `target` has, like a mask of 0 and 255.
        Checked on the CPU, outside of tracing, in the first batch.

    Notes
    -----
    Outside of a region of interest, the truth replaces the prediction, and the pixels there count as predicted right.
    Values are those of MONAI's `SoftclDiceLoss` with one channel, except that MONAI adds 1e-4, its `smooth`, to the
    denominator of the harmonic mean; the `smooth` here is MONAI's `smooth_nr` and `smooth_dr`. MONAI sums over all
    channels of an image, and `OneVsRest` compares each on its own.

    References
    ----------
    S. Shit, J. C. Paetzold, A. Sekuboyina, I. Ezhov, A. Unger, A. Zhylka, J. P. W. Pluim, U. Bauer, B. H. Menze:
    clDice - a novel topology-preserving loss function for tubular structure segmentation. CVPR 2021.

    Examples
    --------
    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 16, 16)
    >>> target[..., 7:10, :] = 1.0
    >>> broken = target.clone()
    >>> broken[..., 6:10] = 0.0
    >>> loss_fn = gpuph.SoftClDiceLoss()
    >>> loss_fn(target, target), loss_fn(broken, target)
    (tensor(0.), tensor(0.1333))
    """

    settings = ("iterations", "smooth")

    def __init__(
        self,
        *,
        iterations: int = 3,
        smooth: float = 1.0,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        reduction: str = "mean",
        graphed: bool = False,
    ) -> None:
        super().__init__(window=window, stride=stride, reduction=reduction, graphed=graphed)
        self.iterations = checks.integer("iterations", iterations)
        self.smooth = checks.number("smooth", smooth, positive=True)

    def compare(self, maps: Maps) -> Compared:
        """Return one minus the soft clDice of each window."""
        p, t = maps.windows()
        skeleton_p, skeleton_t = soft_skeleton(p, self.iterations), soft_skeleton(t, self.iterations)
        precision = (sum_pixels(skeleton_p * t) + self.smooth) / (sum_pixels(skeleton_p) + self.smooth)
        sensitivity = (sum_pixels(skeleton_t * p) + self.smooth) / (sum_pixels(skeleton_t) + self.smooth)
        return Compared(1.0 - 2.0 * precision * sensitivity / (precision + sensitivity))
