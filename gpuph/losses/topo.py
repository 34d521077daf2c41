"""The loss of Hu et al. 2019 on class probabilities, as their paper defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .. import checks, debug, hints
from ..diagram import Diagram
from ..persistence import Paths, diagrams_of
from ..windows import frame
from .base import Compared, Maps, WindowLoss, sum_bars


class TopoLoss(WindowLoss):
    """Make a prediction have as many long bars as the truth, and no others.

    Probabilities p and truth are cut into windows, and bars are those of the sublevel sets of 1 - p. With n the number
    of true bars, the n longest predicted bars are pulled towards birth 0 and death 1, unless they are long enough; all
    others are pulled towards length 0, unless they are short enough. The positions of bars play no part.

    Parameters
    ----------
    window : int or sequence of int, one per axis, optional
        Size of a window, in pixels, 2 or more; 100 by default, as in the authors' program. See `WindowLoss`; the stride
        is the window's size.
    dims : sequence of int, or mapping of int to float
        Homology dimensions of the bars: 0 for connected components, as in the authors' program, 1 for loops, as in
        their paper, and in volumes 2 for cavities. A mapping gives each dimension a weight.
    border : bool
        Put a frame around each window, at its highest probability, so that a curve that leaves the window closes a
        loop: for dims=(1,), as in the paper. Births on the frame have no gradient.
    threshold : float
        Bars to remove are ignored up to this persistence.
    perfect : float
        Bars to keep are ignored above this persistence.
    construction : {"T", "V"}
        See `gpuph.persistence`.
    min_persistence : float
        Bars of at most this length are ignored in prediction and truth, so that they do not count as true bars either.
    reduction : {"mean", "sum", "image", "none"}
        See `WindowLoss`. The authors sum.
    capacity : int, optional
        See `LocalizedPHLoss`.
    spread, normalise
        See `LocalizedPHLoss`; goals are in Notes.
    graphed : bool
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
    A bar (b, d) that is kept costs b^2 + (1 - d)^2, and one that is removed (d - b)^2, whose gradient draws the pixels
    of birth and death to each other's value. The authors' program departs from their paper in two ways, and the loss
    here does not:

    - The program takes the differences between logits and these goals, which are probabilities. Here, both are
      probabilities.
    - The bars of the program are those of 1 - p, but it pulls p itself to 0 at births and to 1 at deaths. So it weakens
      the maxima that should be kept, and fills the gaps between them. Here, 1 - p is pulled to these goals: p rises to
      1 at births and falls to 0 at deaths.

    The program also reads windows that are not square with their axes in the wrong order, and adds the cost of a bar to
    remove twice, once for each end. By default, the loss takes dimension 0 without a frame, like the program and unlike
    the paper.

    Bars that never die are not counted, on either side: the first component is free. Windows where prediction or truth
    is constant cost nothing. The authors' frame is two pixels wide; one pixel gives the same diagrams.

    Values and gradients are in the dtype of the input, but float32 for half precision. The gradient treats the choice
    of the kept bars as constant. With spread="path", goals are where the cost of a bar is least: birth 0, or that of
    the frame if there is one, and death 1 for bars that are kept; halfway between birth and death for the others.

    References
    ----------
    X. Hu, L. Fuxin, D. Samaras, C. Chen: Topology-preserving deep image segmentation. NeurIPS 2019.

    Examples
    --------
    There are two true spots, and a third one is predicted: its bar, the shortest, is to be removed. One spot is never
    counted.

    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 9, 9)
    >>> target[..., 1, 1] = target[..., 1, 7] = 1.0
    >>> pred = target.clone()
    >>> pred[..., 7, 4] = 0.5
    >>> gpuph.TopoLoss()(pred, target)
    tensor(0.2500)
    """

    default_window: ClassVar = {2: 100, 3: 100}
    settings = (
        *("weights", "border", "threshold", "perfect", "construction", "min_persistence", "capacity"),
        *("spread", "normalise"),
    )
    takes_masks = True

    def __init__(
        self,
        *,
        window: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (0,),
        border: bool = False,
        threshold: float = 0.03,
        perfect: float = 0.99,
        construction: str = "T",
        min_persistence: float = 0.0,
        reduction: str = "mean",
        capacity: int | None = None,
        spread: str = "pixel",
        normalise: bool = False,
        graphed: bool = False,
    ) -> None:
        super().__init__(window=window, reduction=reduction, graphed=graphed)
        self.weights = checks.weights(dims)
        self.border = checks.boolean("border", border)
        self.threshold = checks.number("threshold", threshold, 0.0)
        self.perfect = checks.number("perfect", perfect, 0.0)
        self.construction = checks.construction(construction)
        self.min_persistence = checks.number("min_persistence", min_persistence, 0.0)
        self.capacity = checks.capacity(capacity)
        self.spread = checks.spread(spread)
        self.normalise = checks.boolean("normalise", normalise)

    def _is_capturable(self, pred: Tensor) -> bool:
        """Return whether a CUDA graph can record `compare`: the paths of volumes are found on the CPU."""
        return self.spread == "pixel" or pred.dim() == 4

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps are not probabilities and a mask."""
        return hints.probabilities_and_mask(pred, target)

    def compare(self, maps: Maps) -> Compared:
        """Return the cost of the predicted bars of each window, in squared probabilities."""
        tiles = 1 - torch.cat(maps.windows())
        lowest, highest = torch.aminmax(tiles.detach().flatten(1), dim=1)
        varied = (lowest < highest).view(2, -1).all(dim=0)
        framed = frame(tiles, lowest) if self.border else tiles
        least = lowest.unsqueeze(1) if self.border else torch.zeros_like(lowest).unsqueeze(1)
        paths = None
        if self.spread == "path":
            paths = Paths(lambda dim, diagram: self._goals(diagram, least), self.normalise)
        settings = self.construction, self.min_persistence, self.capacity
        diagrams = diagrams_of(framed, tuple(self.weights), *settings, paths=paths)
        n = len(varied)
        loss = tiles.new_zeros(n)
        for dim, diagram in diagrams.items():
            loss = loss.add(self._cost(diagram[:n], diagram[n:]), alpha=self.weights[dim])
            if debug.is_debugging():
                debug.warn_overflow(f"dimension {dim} of pred and target", diagram.count, diagram.birth.shape[1])
        return Compared(loss.where(varied, 0.0), diagrams.status, diagrams.capacity)

    def _cost(self, pred: Diagram, target: Diagram) -> Tensor:
        """Return the cost of the predicted bars (N, K) of each window, shape (N,)."""
        finite, kept = self._kept(pred, target)
        death = pred.death.where(finite, pred.birth)
        length = death - pred.birth
        push = kept & (length <= self.perfect)
        remove = finite & ~kept & (length > self.threshold)
        cost = (pred.birth**2 + (1 - death) ** 2).where(push, 0.0) + (length**2).where(remove, 0.0)
        return sum_bars(cost)

    def _kept(self, pred: Diagram, target: Diagram) -> tuple[Tensor, Tensor]:
        """Return which predicted bars end, and which of these are kept, shape (N, K)."""
        finite = pred.death_index >= 0
        wanted = (target.death_index >= 0).sum(dim=1, keepdim=True)
        return finite, finite & (finite.cumsum(dim=1) <= wanted)  # bars come longest first

    def _goals(self, diagram: Diagram, least: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the births and deaths of predicted bars, and of true ones, which stay, are pulled to."""
        n = len(diagram.birth) // 2
        pred, target = diagram[:n], diagram[n:]
        _, kept = self._kept(pred, target)
        middle = 0.5 * pred.birth + 0.5 * pred.death
        birth, death = least[:n].where(kept, middle), middle.masked_fill(kept, 1.0)
        return torch.cat((birth, target.birth)), torch.cat((death, target.death))
