"""The localized persistent-homology loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from gpuph.kernels import Query

from .. import checks, debug, hints, ops
from .. import place as places
from ..height import Height, Linear, RandomHeight, RandomLinear
from ..matching import SOLVERS, UNMATCHED
from ..persistence import capacity_of, columns_of
from .base import Compared, Maps, WindowLoss
from .graphs import is_capturing

_REMEMBERED = 8
_T = TypeVar("_T")


class LocalizedPHLoss(WindowLoss):
    """Difference in topology between a predicted and a true truncated distance map, window by window.

    Both maps are cut into windows, a height function g is added to both, and the persistence diagrams of their sublevel
    sets are matched optimally. The loss is the cost of the matching: the squared distance of matched points, plus half
    the squared persistence of unmatched points (or their distance to the diagonal). Because g depends on the position,
    a missing loop is not matched with a false loop elsewhere in the window.

    Parameters
    ----------
    window, stride, reduction, graphed
        See `WindowLoss`.
    dims : sequence of int, or mapping of int to float
        Homology dimensions to compare: 0 for connected components, 1 for loops, in volumes 2 for cavities. A mapping
        gives each dimension a weight; all diagrams come from one computation.
    height : RandomLinear, RandomRadial, RandomQuadratic, Linear, Radial, Quadratic or None
        The height function g, or None for no height. A random one is drawn anew in each call in training mode, and is
        fixed in evaluation mode, so that evaluations can be compared. With several `draws`, a window's loss is the mean
        over them.
    border : bool
        Put a frame around each window, at the common minimum of prediction and truth, so that a road that leaves the
        window closes a loop. Births on the frame have no gradient.
    construction : {"T", "V"}
        See `gpuph.persistence`.
    superlevel : bool
        Compare superlevel sets instead, for maps that are high on roads; `target` may then be a mask of booleans or
        integers.
    unmatched : {"half_squared", "distance"}
        See `gpuph.match`.
    min_persistence : float
        Pairs of at most this persistence, in filtration values, count as noise and are left out of both diagrams.
    place : float or sequence of float, one per axis
        What a distance of one pixel weighs in the choice of partners, in filtration values: see `gpuph.match`. It does
        not enter the loss. Components are where they are born, loops and cavities where they die.
    solver : {"auto", "augment", "auction"}
        How partners are found: see `gpuph.match`.
    generator : torch.Generator, optional
        The source of random heights, on the input's device.
    capacity : int, optional
        Columns of the diagrams, see `gpuph.persistence`; on a GPU, the workspace for the loops of volumes also grows
        with it. The default is rarely exceeded; `gpuph.set_debug(True)` reports where it is.
    spread : {"pixel", "path"}
        Which pixels have a gradient: those of births and deaths only, or all that must move with them; see Notes.
    normalise : bool
        With "path", divide the gradients of the pixels of each birth and death by a number, so that they add up to what
        its own pixel has with "pixel". By default, that pixel keeps its gradient, and the others have theirs in
        addition.

    Raises
    ------
    TypeError, ValueError
        See `WindowLoss`. On a GPU, a volume whose loops exceed the workspace also makes the loss NaN;
        `gpuph.set_debug(True)` makes it raise a RuntimeError that suggests a larger `capacity`.

    Warns
    -----
    UserWarning
        Once, if gradients with "path" are for volumes on a device other than the CPU: they are computed on the CPU.
        Once in a process, if `target` looks like a mask instead of a distance map: it has two values, and more than a
        quarter of it is 0. Not with `superlevel`; checked on the CPU, outside of tracing, in the first batch that
        contains an object.

    Notes
    -----
    The loss is in squared filtration values. The gradient treats the matching as constant and does not flow into g.
    Distances are in pixels, or in the units of the `spacing` of `gpuph.truncated_distance_map`; slopes of g are then in
    these units per pixel, or per unit if the height function has the same `spacing`.

    With spread="pixel", the gradient of a birth or death is at the one pixel that it was read from. When that pixel
    moves, another one takes its place, and the birth or death hardly moves. With "path", the gradient is at all pixels
    that keep a birth or death x from its goal t, which is the coordinate of its partner or, if it has none, of the
    nearest point of the diagonal. To be born earlier, a loop pulls all of its pixels above t down, such as those of a
    gap; to be born later, it pulls all pixels below t on a line across it up; to end earlier, it pulls all pixels above
    t inside of it down. The rule for all dimensions is in kernels/README.md, "Carriers". Pixel p has the gradient of x
    times (x_p - t) / (x - t). If points are matched, this is the gradient of (x_p - t)^2, summed over the pixels: a
    gradient step of 1/2 moves all of them to t, and x with them. The values of the loss are the same. With `normalise`,
    a birth or death pulls as hard as with "pixel", and a step moves it less. The loss is then differentiable once, and
    its gradient is not that of its values.

    References
    ----------
    "Persistent Homology with Improved Locality Information for more Effective Delineation", which adds 0.01 times this
    loss, with dims=(1,) and windows of 64 pixels, to the mean squared error of distances.

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

    settings: ClassVar[tuple[str, ...]] = (
        *("weights", "height", "border", "construction", "superlevel", "unmatched"),
        *("min_persistence", "place", "solver", "capacity", "spread", "normalise"),
    )
    comparison: str = ""  # how `BettiMatchingLoss` matches

    def __init__(
        self,
        *,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        dims: Sequence[int] | Mapping[int, float] = (1,),
        height: Height | None = RandomLinear(),  # noqa: B008 -- immutable
        border: bool = True,
        construction: str = "T",
        superlevel: bool = False,
        unmatched: str = "half_squared",
        min_persistence: float = 0.0,
        place: float | Sequence[float] = 0.0,
        solver: str = "auto",
        reduction: str = "mean",
        generator: torch.Generator | None = None,
        capacity: int | None = None,
        spread: str = "pixel",
        normalise: bool = False,
        graphed: bool = False,
    ) -> None:
        super().__init__(window=window, stride=stride, reduction=reduction, graphed=graphed)
        self.weights = checks.weights(dims)
        if height is not None and not isinstance(height, Height):
            raise TypeError(f"height must be one of gpuph's height functions or None, got {checks.shown(height)}")
        self.height = height
        self.border = checks.boolean("border", border)
        self.construction = checks.construction(construction)
        self.superlevel = checks.boolean("superlevel", superlevel)
        self.takes_masks = self.superlevel
        self.unmatched = checks.choice("unmatched", unmatched, UNMATCHED)
        self.min_persistence = checks.number("min_persistence", min_persistence, 0.0)
        self.place = places.checked(place)
        self.solver = checks.choice("solver", solver, SOLVERS)
        self.generator = checks.generator(generator)
        self.capacity = checks.capacity(capacity)
        self.spread = checks.spread(spread)
        self.normalise = checks.boolean("normalise", normalise)
        self._made: dict[tuple[object, ...], Any] = {}
        self._captured: list[Any] = []  # what CUDA graphs read, which must outlive them

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if `target` looks like a mask instead of a distance map."""
        return self.superlevel or hints.distances(target)

    def compare(self, maps: Maps) -> Compared:
        """Return the cost of the optimal matching of each window's diagrams, in squared filtration values."""
        tiling = maps.tiling._replace(border=self.border)
        pred, target = (-x if self.superlevel else x for x in (maps.pred, maps.target))
        n = len(pred) * tiling.windows()
        height = None if self.height is None else self._draw(n, pred, tiling.window)
        draws = self.height.draws if isinstance(self.height, RandomHeight) and self.training else 1
        if draws > 1:
            pred, target = (x.repeat(draws, *[1] * (x.dim() - 1)) for x in (pred, target))
            n *= draws
        if height is not None and self.superlevel:
            height = -height
        dims = checks.dims([*self.weights], len(tiling.image))
        columns = columns_of(self.capacity, pred, tiling.framed())
        query = Query(tuple(dims), self.construction == "T", 0.0, columns)

        weights, place = tuple([self.weights[dim] for dim in dims]), places.per_axis(self.place, len(tiling.image))
        squared = self.unmatched == "half_squared"
        matching = ops.Matching(weights, squared, self.min_persistence, self.comparison, place, self.solver)
        if self.spread == "pixel":
            found = ops.window_costs(pred, target, height, tiling, query, matching)
        else:
            found = ops.path_costs((pred, target, height), tiling, query, matching, normalise=self.normalise)
        if debug.is_debugging() and columns is not None:
            for dim, count in zip(dims, found.counts, strict=True):
                debug.warn_overflow(f"dimension {dim} of pred", count[:n], columns)
                debug.warn_overflow(f"dimension {dim} of target", count[n:], columns)
        cost, status = found.cost, found.status
        if draws > 1:
            cost = cost.view(draws, -1).mean(dim=0)
            status = status.view(2, draws, -1).amax(dim=1).flatten()
        return Compared(cost, status, capacity_of(self.capacity, tiling.framed()))

    def _is_capturable(self, pred: Tensor) -> bool:
        """Return whether a CUDA graph can record `compare`.

        It can draw heights from the device's own generator only, and the paths of volumes are found on the CPU.
        """
        paths_on_cpu = self.spread == "path" and pred.dim() == 5
        draws = self.training and isinstance(self.height, RandomHeight)
        drawn_elsewhere = draws and self.generator is not None
        return super()._is_capturable(pred) and not paths_on_cpu and not drawn_elsewhere

    def _draw(self, n: int, like: Tensor, window: tuple[int, ...]) -> Tensor:
        """Return the heights of n windows, or one height for all, in the form that `ops.framed_persistence` takes."""
        height = self.height
        if isinstance(height, RandomHeight) and not self.training:
            height = height.fixed(len(window))
        assert height is not None
        if not isinstance(height, RandomHeight):

            def draw() -> Tensor:
                made = height.slopes if isinstance(height, Linear) else height
                return made(1, window, torch.empty(0, dtype=like.dtype), None).to(like.device)

            return self._once(draw, like.device, self.height, window, like.dtype)
        checks.generator_on(like.device, self.generator)
        made = height.slopes if isinstance(height, RandomLinear) else height
        return made(n, window, like, self.generator)

    def _once(self, make: Callable[[], _T], device: torch.device, *settings: object) -> _T:
        """Return `make()`, which is the same in every call with these settings, and cache it for the last few kinds."""
        key, capturing = (device, *settings), is_capturing(device)
        if key not in self._made:
            if capturing:
                return make()  # its memory belongs to the graph, and may be reused outside of it
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            self._made[key] = make()
        made: _T = self._made[key]
        if capturing:
            self._captured.append(made)
        return made

    def __getstate__(self) -> dict[str, Any]:
        # Cached tensors of a device should not go into a file.
        return {**super().__getstate__(), "_made": {}, "_captured": []}
