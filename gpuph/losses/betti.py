"""The loss of Clough et al. 2020, on prior knowledge of Betti numbers alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .. import checks, debug, hints
from ..diagram import Diagram
from ..persistence import Paths, diagrams_of
from . import inputs, region
from .base import checked_windows, reduce_windows, show_settings, sum_bars
from .precision import promote


class BettiPriorLoss(torch.nn.Module):
    """Make a prediction have given Betti numbers over all thresholds, without a true mask.

    Bars are those of the superlevel sets of the probabilities of whole images. If k is the Betti number of a dimension,
    its k longest bars are pulled towards length 1 and all others towards length 0.

    Parameters
    ----------
    betti : mapping of int to int
        The Betti number of each dimension that counts: {0: 1, 1: 0} asks for one component without holes.
    weights : mapping of int to float, optional
        Weights of the dimensions; 1 where none is given.
    construction : {"T", "V"}
        See `gpuph.persistence`.
    min_persistence : float
        Bars of at most this length are ignored: they cost nothing, and do not count among the k longest.
    reduction : {"mean", "sum", "image", "none"}
        Over images, which are one window each; "image" is "mean". "none" gives the images' values, shape (B,).
    capacity : int, optional
        See `LocalizedPHLoss`.
    spread, normalise
        See `LocalizedPHLoss`; goals are in Notes.

    Raises
    ------
    TypeError, ValueError
        If a setting is not one of those above. In a call: if `pred` is not a floating-point tensor of shape
        (B, 1, H, W) or (B, 1, D, H, W), does not have the dimensions of `betti`, or holds a NaN inside `mask`; or if
        `mask` is not a bool tensor that broadcasts to its shape. On other devices than the CPU, a NaN makes the loss
        NaN, and raises only with `gpuph.set_debug(True)`.

    Warns
    -----
    UserWarning
        Once in a process, if `pred` has values outside [0, 1], like logits. Checked on the CPU, outside of tracing, in
        the first batch.

    Notes
    -----
    A dimension costs the sum of 1 - l^2 over the lengths l of its k longest bars, plus the sum of l^2 over the rest. If
    there are fewer than k bars, the missing ones have length 0. The essential component lasts from the highest
    probability down to 0.

    Losses and gradients are in the dtype of the input, but in float32 for half precision. The gradient treats the
    choice of the longest bars as constant. With spread="path", goals are where the cost of a bar is least: for the k
    longest, birth at probability 1 and death at 0; for the others, halfway between birth and death, or birth at 0 for
    the essential component.

    References
    ----------
    J. R. Clough, N. Byrne, I. Oksuz, V. A. Zimmer, J. A. Schnabel, A. P. King: A topological loss function for
    deep-learning based image segmentation using persistent homology. IEEE TPAMI 2020.

    Examples
    --------
    A ring of probability 1 with a weak spot of 0.5 and a hole where it is 0; one component with one hole is wanted.

    >>> import torch, gpuph
    >>> pred = torch.zeros(1, 1, 5, 5)
    >>> pred[..., 1:4, 1:4] = 1.0
    >>> pred[..., 2, 2], pred[..., 1, 2] = 0.0, 0.5
    >>> gpuph.BettiPriorLoss({0: 1, 1: 1})(pred)  # 0 for the component, 1 - 0.5^2 for the loop
    tensor(0.7500)
    """

    _hinted = False  # whether `hints` have judged an input

    def __init__(
        self,
        betti: Mapping[int, int],
        *,
        weights: Mapping[int, float] | None = None,
        construction: str = "T",
        min_persistence: float = 0.0,
        reduction: str = "mean",
        capacity: int | None = None,
        spread: str = "pixel",
        normalise: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(betti, Mapping):
            raise TypeError(f"betti must be a mapping of dimensions to Betti numbers, got {checks.shown(betti)}")
        dims = checks.dims([*betti], 3, "betti's dimensions")
        numbers = [checks.integer(f"betti: the Betti number of dimension {dim}", betti[dim]) for dim in betti]
        self.betti = dict(zip(dims, numbers, strict=True))
        self.weights = dict.fromkeys(self.betti, 1.0)
        if weights is not None:
            if not isinstance(weights, Mapping):
                raise TypeError(f"weights must be a mapping of dimensions to weights, got {checks.shown(weights)}")
            if not self.betti.keys() >= weights.keys():
                other = next(dim for dim in weights if dim not in self.betti)
                raise ValueError(f"weights must be of dimensions of betti, {tuple(self.betti)}, got one of {other!r}")
            if weights:
                self.weights.update(checks.weights(weights, "weights"))
        self.construction = checks.construction(construction)
        self.min_persistence = checks.number("min_persistence", min_persistence, 0.0)
        self.reduction = checks.reduction(reduction)
        self.capacity = checks.capacity(capacity)
        self.spread = checks.spread(spread)
        self.normalise = checks.boolean("normalise", normalise)

    def forward(self, pred: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        pred : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), floating point
            Predicted probabilities, from 0 to 1.
        mask : Tensor, of pred's shape or one that broadcasts to it, bool, optional
            The region of interest: True on the pixels that count. The others are background, of probability 0, and the
            Betti numbers are those of the object inside the region.

        Returns
        -------
        Tensor
            A scalar, or shape (B,) if reduction="none"; in squared probabilities.
        """
        return reduce_windows(self._per_window(pred, mask), "mean" if self.reduction == "image" else self.reduction)

    def _per_window(self, pred: Tensor, mask: Tensor | None = None) -> Tensor:
        """Check the maps, and return the losses of the images, each of which is one window, shape (B,)."""
        inputs.maps("pred", pred)
        dims = checks.dims([*self.betti], pred.dim() - 2, "betti's dimensions")
        (x,) = promote(pred)
        if mask is not None:
            x = x.masked_fill(~region.checked(mask, pred), 0.0)
        if debug.is_eager_cpu(x) and not self._hinted:
            self._hinted = hints.probabilities("pred", x)
        paths = Paths(self._goals, self.normalise) if self.spread == "path" else None
        diagrams = diagrams_of(-x[:, 0], dims, self.construction, self.min_persistence, self.capacity, paths=paths)
        loss = x.new_zeros(len(x))
        for dim, bars in diagrams.items():
            wanted = self.betti[dim]
            endless = (bars.birth_index >= 0) & (bars.death_index < 0)
            squares = (bars.death.where(~endless, 0.0) - bars.birth) ** 2  # 0 for padding
            kept = bars.birth_index[:, :wanted] >= 0
            cost = sum_bars((1 - squares[:, :wanted]).where(kept, 0.0)) + (wanted - kept.sum(dim=1))
            cost = cost + sum_bars(squares[:, wanted:])
            loss = loss.add(cost, alpha=self.weights[dim])
            if debug.is_debugging():
                debug.warn_overflow(f"dimension {dim} of pred", bars.count, bars.birth.shape[1])
        return checked_windows(loss, diagrams.status, ("pred",), diagrams.capacity)

    def _goals(self, dim: int, bars: Diagram) -> tuple[Tensor, Tensor]:
        """Return where births and deaths are pulled to, as negative probabilities."""
        kept = torch.arange(bars.birth.shape[1], device=bars.birth.device) < self.betti[dim]
        middle = (0.5 * bars.birth + 0.5 * bars.death).where(bars.death_index >= 0, 0.0)
        return middle.masked_fill(kept, -1.0), middle.masked_fill(kept, 0.0)

    def extra_repr(self) -> str:
        settings = ("betti", "weights", "construction", "min_persistence", "reduction", "capacity")
        return show_settings(self, (*settings, "spread", "normalise"))
