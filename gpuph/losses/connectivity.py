"""The connectivity loss of Oner et al. 2021, on distance maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import checks, hints, ops
from .base import Compared, Maps, WindowLoss, nan_status, sum_pixels

_TRUNCATION = {2: 20.0, 3: 15.0}


class ConnectivityLoss(WindowLoss):
    """Keep the regions between true curves apart, and each of them whole, in predicted distance maps.

    True curves divide a window into regions. A path from one region to another crosses a curve, so the predicted
    distance must be small somewhere on it; the smallest distance on the best such path marks a gap. Two pixels of one
    region must be joined by a path along which distances are large; the smallest distance on the best one marks a false
    curve. The loss pulls distances in gaps towards 0 and distances on false curves towards the truncation, each with a
    weight that counts the pairs of pixels it decides.

    Parameters
    ----------
    window : int or sequence of int, one per axis, optional
        Size of a window, in pixels, 2 or more; by default 32, and 48 in volumes.
    stride, reduction, graphed
        See `WindowLoss`. The authors sum over windows.
    truncation : float, optional
        The truncation of the distance maps, in their units (see `spacing` of `gpuph.truncated_distance_map`); by
        default 20 pixels, and 15 in volumes.
    dilation : int
        By how many pixels, along the axes, true curves are thickened before they divide a window.
    disconnections, connections : float
        Coefficients of the two terms: gaps, and false curves.

    Raises
    ------
    TypeError, ValueError
        See `WindowLoss`.

    Warns
    -----
    UserWarning
        Once in a process, if `target` looks like a mask instead of a distance map; see `LocalizedPHLoss`.

    Notes
    -----
    Pixels are joined to their 4 neighbours, in volumes to 6. An edge costs the sum of its two predicted distances. For
    gaps, it costs the truncation wherever the true sum exceeds it, so that false curves hide no gap; for false curves,
    it costs 0 wherever the true sum is below half the truncation, so that no path crosses a true curve. A pair of
    pixels is decided by the edge of least cost on the path whose least cost is greatest. Pairs of different regions
    count for edges with a true sum below half the truncation, where the loss is y^2 at both ends, y the predicted
    distance. Pairs of the same region count for edges with a true sum of at least the truncation, where it is
    (truncation - y)^2. An edge's weight is its share of all such pairs. As published, the loss of a perfect prediction
    is not 0: in the first term, pixels beside a curve have distance 1; in the second, distances below the truncation
    are pulled up to it.

    A region is a component, with 8 neighbours or 26, of the window without the dilated zeros of the true map. Curves
    divide images, not volumes: for neurites the authors apply the loss to the minima along each axis, such as
    `loss_fn(pred.amin(2), target.amin(2))`. Applied to volumes directly, the loss is about surfaces.

    The loss is in squared distances. The gradient treats the weights as constant.

    References
    ----------
    D. Oner, M. Koziński, L. Citraro, N. C. Dadap, A. G. Konings, P. Fua: Promoting connectivity of network-like
    structures by enforcing region separation. IEEE TPAMI 2021.

    Examples
    --------
    >>> import torch, gpuph
    >>> road = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    >>> road[..., 16, :] = True
    >>> broken = road.clone()
    >>> broken[..., 10:20] = False
    >>> pred, target = (gpuph.truncated_distance_map(mask, 20.0) for mask in (broken, road))
    >>> loss_fn = gpuph.ConnectivityLoss(connections=0.0)
    >>> loss_fn(pred, target)  # the edge that decides all pairs is in the middle of the gap: 25 + 26
    tensor(51.)
    >>> loss_fn(target, target)  # it is on the road: 0 + 1
    tensor(1.)
    """

    default_window: ClassVar = {2: 32, 3: 48}
    settings = ("truncation", "dilation", "disconnections", "connections")

    def __init__(
        self,
        *,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        truncation: float | None = None,
        dilation: int = 5,
        disconnections: float = 1.0,
        connections: float = 1.0,
        reduction: str = "mean",
        graphed: bool = False,
    ) -> None:
        super().__init__(window=window, stride=stride, reduction=reduction, graphed=graphed)
        self.truncation = None if truncation is None else checks.number("truncation", truncation, positive=True)
        self.dilation = checks.integer("dilation", dilation)
        self.disconnections = checks.number("disconnections", disconnections, 0.0)
        self.connections = checks.number("connections", connections, 0.0)

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if `target` looks like a mask instead of a distance map."""
        return hints.distances(target)

    def compare(self, maps: Maps) -> Compared:
        """Return the loss of gaps and of false curves in each window, in squared distances."""
        y, true = maps.windows()
        truncation = self.truncation or _TRUNCATION[len(maps.tiling.image)]
        loss = y.new_zeros(len(y))
        with torch.no_grad():
            status = nan_status(y, true)
            region = ops.regions(true == 0, self.dilation)
            sums, true_sums = _sums(y), _sums(true)
        if self.disconnections > 0:
            pairs = ops.maximin(sums.masked_fill(true_sums > truncation, truncation), region, same=False)
            weights = _at_ends(pairs, true_sums < truncation / 2, y.dtype)
            loss = loss.add(sum_pixels(weights * y**2), alpha=self.disconnections)
        if self.connections > 0:
            pairs = ops.maximin(sums.masked_fill(true_sums < truncation / 2, 0.0), region, same=True)
            weights = _at_ends(pairs, true_sums >= truncation, y.dtype)
            loss = loss.add(sum_pixels(weights * (truncation - y) ** 2), alpha=self.connections)
        return Compared(loss, status)


def _sums(x: Tensor) -> Tensor:
    """Return the sum over each edge from a pixel to the next one along an axis, shape (N, axes, *window)."""
    return torch.stack([x + x.roll(-1, axis) for axis in range(1, x.dim())], dim=1)


def _at_ends(pairs: Tensor, counted: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weights of pixels (N, *window): at each pixel, the sum of its counted edges' shares of all pairs."""
    shares = pairs.to(torch.float32 if pairs.device.type == "mps" else torch.float64)  # MPS has no float64
    shares = shares / shares.flatten(1).sum(dim=1).clamp(min=1.0).view(-1, *[1] * (pairs.dim() - 1))
    shares = shares.where(counted, 0.0).to(dtype)
    ends = [share + share.roll(1, axis) for axis, share in enumerate(shares.unbind(dim=1), start=1)]
    return torch.stack(ends).sum(dim=0)
