"""The loss on distance maps without heights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .localized import LocalizedPHLoss


class DistancePHLoss(LocalizedPHLoss):
    """Difference in topology between predicted and true distance maps, whose sublevel sets thicken the curves.

    It is `LocalizedPHLoss` without a height function: what a loop's values do not tell is where it is, so a false loop
    can stand in for a missing one elsewhere in the window.

    Parameters
    ----------
    window, stride, dims, border, construction, unmatched, reduction, capacity
        As for `LocalizedPHLoss`.

    Raises
    ------
    TypeError, ValueError
        As `LocalizedPHLoss` does.

    Warns
    -----
    UserWarning
        Once in a process, if `target` looks like a mask instead of a distance map: it has two values, and more than a
        quarter of it is 0. Only tensors on the CPU are looked at, outside of tracing, and each loss object looks at its
        first batch with an object only.

    References
    ----------
    F. Wang, H. Liu, D. Samaras, C. Chen: TopoGAN: A topology-aware generative adversarial network. ECCV 2020. Its
    filtration, by distances; the windows, the frame and the matching are those of `LocalizedPHLoss`.

    Examples
    --------
    >>> import torch, gpuph
    >>> road = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    >>> road[..., 32, :] = True
    >>> broken = road.clone()
    >>> broken[..., 27:37] = False
    >>> pred, target = (gpuph.truncated_distance_map(mask, 20.0) for mask in (broken, road))
    >>> gpuph.DistancePHLoss()(pred, target)  # a gap of 10: a loop is born at 5 instead of 0
    tensor(25.)
    """

    def __init__(
        self,
        window: int | Sequence[int] = 64,
        stride: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (1,),
        border: bool = True,
        construction: str = "T",
        unmatched: str = "half_squared",
        reduction: str = "mean",
        capacity: int | None = None,
    ) -> None:
        super().__init__(
            window, stride, dims, None, border, construction, False, unmatched, reduction, capacity=capacity
        )
