"""The connectivity loss of Oner et al. 2021, on distance maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import checks, debug, hints, ops
from ..windows import cut_windows, tile
from .common import described, lifted, reduced

_WINDOW = {2: 32, 3: 48}
_TRUNCATION = {2: 20.0, 3: 15.0}


class ConnectivityLoss(torch.nn.Module):
    """Keep the regions between true curves apart, and each of them whole, in predicted distance maps.

    True curves divide a window into regions. A path from one region to another crosses a curve, so somewhere on it the
    predicted distance must be small; where the best path is decided, at its least distance, there is a gap. Two pixels
    of one region are to be joined by a path along which distances are large; where the best one is decided, there is a
    false curve. The loss draws distances in gaps to 0, and distances on false curves to the truncation, each as
    strongly as there are pairs of pixels that see it.

    Parameters
    ----------
    window : int or sequence of int, one an axis, optional
        Size of a window, in pixels, 2 or more; by default 32, and 48 in volumes. An image that is smaller is one
        window.
    stride : int or sequence of int, optional
        Distance between windows, in pixels; by default the window's size. The last window is shifted inwards where it
        would leave the image.
    truncation : float, optional
        The truncation of the distance maps, in their units (see `spacing` of `gpuph.truncated_distance_map`); by
        default 20 pixels, and 15 in volumes.
    dilation : int
        By how many pixels, along the axes, true curves are thickened before they divide a window.
    disconnections, connections : float
        Coefficients of the two terms: gaps, and false curves.
    reduction : {"mean", "sum", "none"}
        Over windows; "none" gives the windows' values, shape (B, windows). The authors sum.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of those above. In a call: if prediction and truth are no floating-point tensors of one
        shape (B, 1, H, W) or (B, 1, D, H, W) on one device, or hold a NaN. On other devices than the CPU, a NaN makes
        the loss NaN, and raises with `gpuph.set_debug` only.

    Warns
    -----
    UserWarning
        Once, if maps are on another device than the CPU: the weights of pixels are computed on the CPU.
        Once in a process, if `target` looks like a mask instead of a distance map: it has two values, and more than a
        quarter of it is 0. Only tensors on the CPU are looked at, outside of tracing, and each loss object looks at its
        first batch with an object only.

    Notes
    -----
    Pixels are joined to their 4 neighbours, in volumes to 6. An edge costs the sum of its two predicted distances. For
    gaps it costs the truncation wherever the true sum is above that, so that false curves hide no gap; for false curves
    it costs 0 wherever the true sum is below half the truncation, so that no path crosses a true curve. Each pair of
    pixels, of different regions or of one, is decided by the edge of least cost on the path whose least cost is
    greatest. Of the edges that decide pairs, those with a true sum below half the truncation weight y^2 at both their
    ends, for pairs of different regions, and those with a true sum of the truncation or more weight
    (truncation - y)^2, for pairs of one region, y the predicted distance. The weight is the share of all such pairs.
    As published, the loss of a perfect prediction is not 0: in the first term, pixels beside a curve are at 1; in the
    second, distances below the truncation are drawn up to it.

    A region is a component, with 8 neighbours or 26, of what is left of a window by the zeros of the true map, dilated.
    Curves divide images, not volumes: for neurites the authors take the loss of the minima along each axis, such as
    `loss_fn(pred.amin(2), target.amin(2))`. In volumes as such, the loss is on surfaces.

    Values and gradients are in the dtype of the input, but float32 for half precision. Weights are held constant under
    the gradient.

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
    >>> loss_fn(pred, target)  # all pairs are decided in the gap's middle, by an edge of squared distances 25 and 26
    tensor(51.)
    >>> loss_fn(target, target)  # on the road, by an edge of squared distances 0 and 1
    tensor(1.)
    """

    _looked = False  # whether `hints` have seen the input of a call

    def __init__(
        self,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        truncation: float | None = None,
        dilation: int = 5,
        disconnections: float = 1.0,
        connections: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.window = None if window is None else checks.sizes("window", window, 2)
        self.stride = None if stride is None else checks.sizes("stride", stride, 1)
        self.truncation = None if truncation is None else checks.number("truncation", truncation, positive=True)
        self.dilation = checks.integer("dilation", dilation)
        self.disconnections = checks.number("disconnections", disconnections, 0.0)
        self.connections = checks.number("connections", connections, 0.0)
        self.reduction = checks.reduction(reduction)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        pred, target : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), floating point
            Predicted and true truncated distance maps, in pixels; the true one is 0 on the curves, and only there.

        Returns
        -------
        Tensor
            A scalar, or shape (B, windows) if reduction="none"; in squared pixels.
        """
        checks.pair(pred, target)
        size = pred.shape[2:]
        rank = len(size)
        window = checks.fitting("window", _WINDOW[rank] if self.window is None else self.window, rank)
        stride = window if self.stride is None else checks.fitting("stride", self.stride, rank)
        if debug.is_eager_cpu(target) and not self._looked:
            self._looked = hints.distances(target)
        truncation = _TRUNCATION[rank] if self.truncation is None else self.truncation
        per_image = tile(size, window, stride).windows()
        y, true = (cut_windows(image[:, 0], window, stride) for image in lifted(pred, target))

        loss = y.new_zeros(len(y))
        with torch.no_grad():
            status = torch.cat([x.flatten(1).isnan().any(dim=1) for x in (y, true)])
            region = ops.regions(true == 0, self.dilation)
            sums, true_sums = _sums(y), _sums(true)
        if self.disconnections > 0:
            pairs = ops.maximin(sums.masked_fill(true_sums > truncation, truncation), region, False)
            weights = _at_ends(pairs, true_sums < truncation / 2, y.dtype)
            loss = loss.add((weights * y**2).flatten(1).sum(dim=1), alpha=self.disconnections)
        if self.connections > 0:
            pairs = ops.maximin(sums.masked_fill(true_sums < truncation / 2, 0.0), region, True)
            weights = _at_ends(pairs, true_sums >= truncation, y.dtype)
            loss = loss.add((weights * (truncation - y) ** 2).flatten(1).sum(dim=1), alpha=self.connections)
        return reduced(loss.view(len(pred), per_image), status, ("pred", "target"), self.reduction)

    def extra_repr(self) -> str:
        return described(self, "window stride truncation dilation disconnections connections reduction")


def _sums(x: Tensor) -> Tensor:
    """The sum over each edge from a pixel to the next one along an axis: (N, axes, *window) of windows (N, *window)."""
    return torch.stack([x + x.roll(-1, axis) for axis in range(1, x.dim())], dim=1)


def _at_ends(pairs: Tensor, counted: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights of pixels (N, *window): the share of all pairs (N, axes, *window) that the counted edges at them have."""
    shares = pairs.to(torch.float32 if pairs.device.type == "mps" else torch.float64)  # MPS has no float64
    shares = shares / shares.flatten(1).sum(dim=1).clamp(min=1.0).view(-1, *[1] * (pairs.dim() - 1))
    shares = shares.where(counted, 0.0).to(dtype)
    ends = [share + share.roll(1, axis) for axis, share in enumerate(shares.unbind(dim=1), start=1)]
    return torch.stack(ends).sum(dim=0)
