"""The localized persistent-homology loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from gpuph.kernels import Pairs, Query

from .. import checks, debug, hints, ops
from ..height import Height, Linear, RandomLinear
from ..matching import UNMATCHED
from ..persistence import capacity_of, columns_of
from ..windows import tile
from .common import described, lifted, reduced

_REMEMBERED = 8
_T = TypeVar("_T")


class LocalizedPHLoss(torch.nn.Module):
    """Difference in topology between a predicted and a true truncated distance map, window by window.

    Both are cut into windows, a height function g is added to both, and the persistence diagrams of their sublevel sets
    are matched optimally. The loss is the cost of the matching: the squared distance of matched points, and for
    unmatched ones half their squared persistence (or their distance to the diagonal). A loop that was broken or
    invented is found even where another loop elsewhere could stand in for it, because g gives a place its values.

    Parameters
    ----------
    window : int or sequence of int, one an axis
        Size of a window, in pixels, 2 or more. An image that is smaller is one window.
    stride : int or sequence of int, optional
        Distance between windows, in pixels; by default the window's size. The last window is shifted inwards where it
        would leave the image.
    dims : sequence of int, or mapping of int to float
        Homology dimensions compared: 1 for loops, 0 for connected components, in volumes 2 for cavities. A mapping
        gives each a weight, so that a weighted sum of losses takes all diagrams from one computation.
    height : RandomLinear, Linear, Radial, Quadratic or None
        The height function g; None for none. What is random is drawn anew in each call in training mode, and is one
        fixed draw in evaluation mode, so that two evaluations can be compared.
    border : bool
        Lay a frame around each window, at the common minimum of prediction and truth, so that a road that leaves the
        window closes a loop. What is born on the frame has no gradient there.
    construction : {"T", "V"}
        See `gpuph.persistence`.
    superlevel : bool
        Compare superlevel sets, for maps that are high on roads.
    unmatched : {"half_squared", "distance"}
        See `gpuph.match`.
    reduction : {"mean", "sum", "none"}
        Over windows; "none" gives the windows' values, shape (B, windows).
    generator : torch.Generator, optional
        What random heights are drawn from, on the input's device.
    capacity : int, optional
        Columns of the diagrams, see `gpuph.persistence`; on a GPU, also the memory for the loops of volumes goes by it.
        By default, room for what hardly ever occurs; `gpuph.set_debug` tells where it is too little.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of those above. In a call: if prediction and truth are no floating-point tensors of one
        shape (B, 1, H, W) or (B, 1, D, H, W) on one device, or hold a NaN. On other devices than the CPU, a NaN makes
        the loss NaN, and raises with `gpuph.set_debug` only; so does a volume with more loops than their memory holds,
        which is told to raise `capacity`.

    Warns
    -----
    UserWarning
        Once in a process, if `target` looks like a mask instead of a distance map: it has two values, and more than a
        quarter of it is 0, unless `superlevel`. Only tensors on the CPU are looked at, outside of tracing, and each
        loss object looks at its first batch with an object only.

    Notes
    -----
    Filtration values, cost and gradient are in the dtype of the input, but float32 for half precision. The matching is
    held constant under the gradient, and g has none. Distances are in pixels, or in the units of the `spacing` of
    `gpuph.truncated_distance_map`; slopes of g are then in these units a pixel.

    The loss of "Persistent Homology with Improved Locality Information for more Effective Delineation", which adds
    0.01 times it, with dims=(1,) and windows of 64, to the mean squared error of distances.

    Examples
    --------
    >>> import torch, gpuph
    >>> road = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    >>> road[..., 30, :] = True
    >>> broken = road.clone()
    >>> broken[..., 25:35] = False
    >>> loss_fn = gpuph.LocalizedPHLoss().eval()
    >>> target = gpuph.truncated_distance_map(road, 20.0)
    >>> pred = gpuph.truncated_distance_map(broken, 20.0)
    >>> bool(loss_fn(pred, target) > 1.0), float(loss_fn(target, target))
    (True, 0.0)
    """

    _looked = False  # whether `hints` have seen the input of a call

    def __init__(
        self,
        window: int | Sequence[int] = 64,
        stride: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (1,),
        height: Height | None = RandomLinear(),  # noqa: B008 -- immutable
        border: bool = True,
        construction: str = "T",
        superlevel: bool = False,
        unmatched: str = "half_squared",
        reduction: str = "mean",
        generator: torch.Generator | None = None,
        capacity: int | None = None,
    ) -> None:
        super().__init__()
        self.window = checks.sizes("window", window, 2)
        self.stride = self.window if stride is None else checks.sizes("stride", stride, 1)
        self.weights = checks.weights(dims)
        if height is not None and not isinstance(height, Height):
            raise TypeError(f"height must be one of gpuph's height functions or None, got {checks.shown(height)}")
        self.height = height
        self.border = checks.boolean("border", border)
        self.construction = checks.construction(construction)
        self.superlevel = checks.boolean("superlevel", superlevel)
        self.unmatched = checks.choice("unmatched", unmatched, UNMATCHED)
        self.reduction = checks.reduction(reduction)
        self.generator = checks.generator(generator)
        self.capacity = checks.capacity(capacity)
        self._made: dict[tuple[object, ...], Any] = {}

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        pred, target : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), floating point
            Predicted and true maps.

        Returns
        -------
        Tensor
            A scalar, or shape (B, windows) if reduction="none"; in squared filtration values.
        """
        checks.pair(pred, target)
        batch, size = len(pred), pred.shape[2:]
        dims = checks.dims([*self.weights], len(size))
        window = checks.fitting("window", self.window, len(size))
        stride = checks.fitting("stride", self.stride, len(size))
        if debug.is_eager_cpu(pred) and not self._looked:
            self._looked = self._look(pred, target)
        images = [-x if self.superlevel else x for x in lifted(pred, target)]

        tiling = tile(size, window, stride, border=self.border)
        n = batch * tiling.windows()

        g = None if self.height is None else self._draw(n, images[0].detach(), tiling.window)

        # Which pixels gave which values is all that the gradient needs to know.
        columns = columns_of(self.capacity, images[0], tiling.framed())
        found = ops.framed_persistence(
            images[0][:, 0].detach(),
            images[1][:, 0].detach(),
            -g if g is not None and self.superlevel else g,
            tiling,
            Query(tuple(dims), self.construction == "T", 0.0, columns),
        )

        flat = [image.flatten(1) for image in images]
        loss: Tensor | None = None
        for dim, pairs in zip(dims, found.pairs, strict=True):
            a, b = Pairs(*(part[:n] for part in pairs)), Pairs(*(part[n:] for part in pairs))
            cost = ops.matched_cost(flat[0], a, flat[1], b, self.unmatched == "half_squared")
            if self.weights[dim] != 1:
                cost = cost * self.weights[dim]
            loss = cost if loss is None else loss + cost
            if debug.is_debugging():
                for name, part in (("pred", a), ("target", b)):
                    debug.warn_overflow(f"dimension {dim} of {name}", part.count, part.index.shape[2])
        assert loss is not None  # there is a dimension
        capacity = capacity_of(self.capacity, tiling.framed())
        loss = reduced(loss, found.status, ("pred", "target"), self.reduction, capacity)
        return loss.view(batch, tiling.windows()) if self.reduction == "none" else loss

    def _look(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps do not look like distance maps; returns whether there was anything to judge by."""
        return self.superlevel or hints.distances(target)

    def _draw(self, n: int, like: Tensor, window: tuple[int, ...]) -> Tensor:
        """Return the height function on n windows as `ops.framed_persistence` takes it, once if all have the same."""
        height = self.height
        if isinstance(height, RandomLinear) and not self.training:
            height = height.fixed(len(window))
        assert height is not None
        if not isinstance(height, RandomLinear):

            def draw() -> Tensor:
                made = height.slopes if isinstance(height, Linear) else height
                return made(1, window, torch.empty(0, dtype=like.dtype), None).to(like.device)

            return self._once(draw, like.device, self.height, window, like.dtype)
        checks.generator_on(like.device, self.generator)
        return height.slopes(n, window, like, self.generator)

    def _once(self, make: Callable[[], _T], device: torch.device, *settings: object) -> _T:
        """Make what is the same in every call once, and remember what the last few kinds of call needed."""
        key = device, *settings
        if key not in self._made:
            if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
                return make()  # its memory belongs to the graph, and may be used for something else outside of it
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            self._made[key] = make()
        made: _T = self._made[key]
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}  # tensors of a device have no place in a file

    def extra_repr(self) -> str:
        return described(
            self, "window stride weights height border construction superlevel unmatched reduction capacity"
        )
