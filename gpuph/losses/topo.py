"""The loss of Hu et al. 2019 on class probabilities, as its authors published it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .. import checks, debug, hints
from ..diagram import Diagram
from ..persistence import diagrams_of
from ..windows import cut_windows, frame, tile
from .common import described, lifted, reduced


class TopoLoss(torch.nn.Module):
    """Push the longest bars of a prediction to full length, as many as the truth has, and all others to none.

    Probabilities p and truth are cut into tiles, and bars are those of the sublevel sets of 1 - p. With n the number of
    true bars, the n longest predicted ones are to be born at 0 and to die at 1, unless they are nearly so; all others
    are to vanish, unless they are hardly there. Nothing tells whether a bar is at the place of a true one.

    Parameters
    ----------
    window : int or sequence of int, one an axis
        Size of a tile, in pixels, 2 or more. The last tile is shifted inwards where it would leave the image, and an
        image that is smaller is one tile.
    dims : sequence of int, or mapping of int to float
        Homology dimensions of the bars: 0 for connected components, as published, 1 for loops, as in the paper, in
        volumes 2 for cavities. A mapping gives each a weight, over one computation of diagrams.
    border : bool
        Lay a frame around each tile, at its highest probability, so that what leaves the tile closes a loop: for
        dims=(1,), as in the paper. What is born on the frame has no gradient there.
    threshold : float
        Bars to remove are left alone up to this persistence.
    perfect : float
        Bars to keep are left alone above this persistence.
    construction : {"T", "V"}
        See `gpuph.persistence`.
    reduction : {"mean", "sum", "none"}
        Over tiles; "none" gives the tiles' values, shape (B, tiles). The authors sum.
    capacity : int, optional
        See `LocalizedPHLoss`.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of those above. In a call: if prediction and truth are no floating-point tensors of one
        shape (B, 1, H, W) or (B, 1, D, H, W) on one device, or hold a NaN. On other devices than the CPU, a NaN makes
        the loss NaN, and raises with `gpuph.set_debug` only.

    Warns
    -----
    UserWarning
        Once in a process, if `pred` has values outside of [0, 1], as logits have, or `target` has, as a mask of 0 and
        255. Only tensors on the CPU are looked at, outside of tracing, and each loss object looks at its first batch
        only.

    Notes
    -----
    A bar (b, d) that is kept costs b^2 + (1 - d)^2, and one that is removed (d - b)^2, whose gradient draws the pixels
    of birth and death to each other's value. Bars that never die are not counted, on either side: the first component
    is free. Tiles where prediction or truth is constant cost nothing. The authors' frame is two pixels wide; one gives
    the same diagrams.

    Values and gradients are in the dtype of the input, but float32 for half precision. Which bars are kept is held
    constant under the gradient.

    References
    ----------
    X. Hu, L. Fuxin, D. Samaras, C. Chen: Topology-preserving deep image segmentation. NeurIPS 2019.

    Examples
    --------
    Two true spots, and a third that is predicted: its bar, the shortest, is to go. One spot is never counted.

    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 9, 9)
    >>> target[..., 1, 1] = target[..., 1, 7] = 1.0
    >>> pred = target.clone()
    >>> pred[..., 7, 4] = 0.5
    >>> gpuph.TopoLoss()(pred, target)
    tensor(0.2500)
    """

    _looked = False  # whether `hints` have seen the input of a call

    def __init__(
        self,
        window: int | Sequence[int] = 100,
        dims: Sequence[int] | Mapping[int, float] = (0,),
        border: bool = False,
        threshold: float = 0.03,
        perfect: float = 0.99,
        construction: str = "T",
        reduction: str = "mean",
        capacity: int | None = None,
    ) -> None:
        super().__init__()
        self.window = checks.sizes("window", window, 2)
        self.weights = checks.weights(dims)
        self.border = checks.boolean("border", border)
        self.threshold = checks.number("threshold", threshold, 0.0)
        self.perfect = checks.number("perfect", perfect, 0.0)
        self.construction = checks.construction(construction)
        self.reduction = checks.reduction(reduction)
        self.capacity = checks.capacity(capacity)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        pred, target : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), floating point
            Predicted probabilities, and the true mask, 0 or 1.

        Returns
        -------
        Tensor
            A scalar, or shape (B, tiles) if reduction="none"; in squared probabilities.
        """
        checks.pair(pred, target)
        size = pred.shape[2:]
        dims = checks.dims([*self.weights], len(size))
        window = checks.fitting("window", self.window, len(size))
        if debug.is_eager_cpu(pred) and not self._looked:
            self._looked = hints.probabilities("pred", pred) & hints.mask("target", target)
        per_image = tile(size, window, window).windows()

        tiles = 1 - torch.cat([cut_windows(image[:, 0], window, window) for image in lifted(pred, target)])
        lowest, highest = torch.aminmax(tiles.detach().flatten(1), dim=1)
        varied = (lowest < highest).view(2, -1).all(dim=0)
        framed = frame(tiles, lowest) if self.border else tiles
        diagrams = diagrams_of(framed, dims, self.construction, capacity=self.capacity)
        n = len(varied)
        loss = tiles.new_zeros(n)
        for dim, diagram in diagrams.items():
            loss = loss.add(self._cost(diagram[:n], diagram[n:]), alpha=self.weights[dim])
            if debug.is_debugging():
                debug.warn_overflow(f"dimension {dim} of pred and target", diagram.count, diagram.birth.shape[1])
        loss = loss.where(varied, 0.0)
        loss = loss.view(len(pred), per_image)
        return reduced(loss, diagrams.status, ("pred", "target"), self.reduction, diagrams.capacity)

    def _cost(self, pred: Diagram, target: Diagram) -> Tensor:
        """What the predicted bars (N, K) cost in each window, shape (N,)."""
        finite = pred.death_index >= 0
        wanted = (target.death_index >= 0).sum(dim=1, keepdim=True)
        kept = finite & (finite.cumsum(dim=1) <= wanted)  # bars come longest first
        death = pred.death.where(finite, pred.birth)
        length = death - pred.birth
        push = kept & (length <= self.perfect)
        remove = finite & ~kept & (length > self.threshold)
        cost = (pred.birth**2 + (1 - death) ** 2).where(push, 0.0) + (length**2).where(remove, 0.0)
        return cost.sum(dim=1)

    def extra_repr(self) -> str:
        return described(self, "window weights border threshold perfect construction reduction capacity")
