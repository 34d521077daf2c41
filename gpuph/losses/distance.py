"""The loss on distance maps without heights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .localized import LocalizedPHLoss


class DistancePHLoss(LocalizedPHLoss):
    """Difference in topology between predicted and true distance maps, whose sublevel sets thicken the curves.

    This is `LocalizedPHLoss` without a height function: diagrams do not say where a loop is, so a false loop can be
    matched with a missing one elsewhere in the window.

    Parameters
    ----------
    window, stride, dims, border, construction, unmatched, min_persistence, place, solver, reduction, capacity, graphed
        As for `LocalizedPHLoss`.
    spread, normalise
        As for `LocalizedPHLoss`.

    Raises
    ------
    TypeError, ValueError
        See `LocalizedPHLoss`.

    Warns
    -----
    UserWarning
        See `LocalizedPHLoss`.

    References
    ----------
    F. Wang, H. Liu, D. Samaras, C. Chen: TopoGAN: A topology-aware generative adversarial network. ECCV 2020. The
    filtration by distances is theirs; windows, frame and matching are those of `LocalizedPHLoss`.

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
        *,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (1,),
        border: bool = True,
        construction: str = "T",
        unmatched: str = "half_squared",
        min_persistence: float = 0.0,
        place: float | Sequence[float] = 0.0,
        solver: str = "auto",
        reduction: str = "mean",
        capacity: int | None = None,
        spread: str = "pixel",
        normalise: bool = False,
        graphed: bool = False,
    ) -> None:
        super().__init__(
            window=window,
            stride=stride,
            dims=dims,
            height=None,
            border=border,
            construction=construction,
            superlevel=False,
            unmatched=unmatched,
            min_persistence=min_persistence,
            place=place,
            solver=solver,
            reduction=reduction,
            capacity=capacity,
            spread=spread,
            normalise=normalise,
            graphed=graphed,
        )
