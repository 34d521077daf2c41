"""The base of the losses: checks, common dtypes, windows, NaN and reduction, written once.

A loss that compares a prediction with the truth window by window is a `WindowLoss` with one method, `compare`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from gpuph.kernels import Tiling

from .. import checks, debug
from ..windows import cut_windows, tile
from . import graphs, inputs, region
from .precision import promote


class Maps(NamedTuple):
    """A prediction and its truth in a common dtype, float32 or float64, and how they are cut into N windows."""

    pred: Tensor  # (B, *image)
    target: Tensor  # (B, *image)
    tiling: Tiling

    def windows(self) -> tuple[Tensor, Tensor]:
        """Return the windows of both, shape (N, *window): those of the first image, then of the second, and so on."""
        window, stride = self.tiling.window, self.tiling.stride
        return cut_windows(self.pred, window, stride), cut_windows(self.target, window, stride)


class Compared(NamedTuple):
    """The losses of N windows, and the status of the diagrams that they come from."""

    loss: Tensor  # (N,)
    # The status of the windows of pred and then of target, shape (2 N,), where computing diagrams gave it: see
    # `gpuph.Diagrams`. Otherwise the windows are searched for NaN.
    status: Tensor | None = None
    capacity: int = 0  # of those diagrams


class WindowLoss(torch.nn.Module, ABC):
    """Base of the losses that compare a prediction with the truth window by window.

    A subclass defines `compare`; checks, promotion of dtypes, windows, NaN and reduction are here.

    Parameters
    ----------
    window : int or sequence of int, one per axis, optional
        Size of a window, in pixels, 2 or more; 64 by default, unless the subclass says otherwise. An image that is
        smaller is one window.
    stride : int or sequence of int, optional
        Distance between windows, in pixels; by default the window's size. The last window is shifted inwards where it
        would leave the image.
    reduction : {"mean", "sum", "image", "none"}
        Over windows. "image" adds up the windows of an image and averages over images, which gives the scale that the
        paper's weight of 0.01 fits. "none" gives the windows' values, shape (B, windows).
    graphed : bool
        On a GPU, record what a call launches as a CUDA graph, and replay it in later calls with maps of the same shape
        and dtype; see Notes.

    Attributes
    ----------
    takes_masks : bool
        Whether `target` is a mask, which may be of floats, of booleans, or of integers that are all 0 or 1. Set by
        subclasses; False by default, as for distance maps.

    Raises
    ------
    TypeError, ValueError
        If a setting is not one of those above. In a call: if `pred` and `target` are not floating-point tensors of the
        same shape, (B, 1, H, W) or (B, 1, D, H, W), on the same device, or hold a NaN inside `mask`; or if `mask` is
        not a bool tensor that broadcasts to their shape. On devices other than the CPU, errors in values are deferred:
        a NaN makes the loss NaN, and raises only with `gpuph.set_debug(True)`.

    Notes
    -----
    A sum over pixels can leave some of them out, but topology cannot: cutting them out would make holes. So prediction
    and truth are made equal outside of a region of interest. Curves that continue there as the truth has them connect
    both in the same way. A window that is wholly outside compares the truth with itself, and counts in the mean.

    Losses and gradients are in the dtype of the maps, but in float32 for half precision.

    With `graphed`, the CPU's part of a call is a few launches, whatever the loss launches itself; values and gradients
    are the same. The second call with maps of a kind captures a graph, which then keeps the memory of a call. A loss
    has up to 8 graphs; maps of one kind need as many as there are losses whose backward pass is still to come.
    The following are computed without a graph: maps of further kinds; maps on the CPU, or of a subclass of Tensor; a
    target that requires a gradient; calls inside autocast, `torch.compile`, a checkpoint, another capture, anomaly
    detection or debug mode; heights drawn by a `generator`; and volumes in losses with spread="path", whose
    gradients are computed on the CPU. With a graph, every loss is differentiable once. Copies of the module have no
    graphs. Height functions, and settings of a subclass that are not in `settings`, must not change after a call.

    Examples
    --------
    A loss that compares the total persistence of the loops of each window:

    >>> import torch
    >>> from gpuph.losses import Compared, Maps, WindowLoss
    >>> from gpuph.persistence import diagrams_of
    >>> class TotalPersistenceLoss(WindowLoss):
    ...     def compare(self, maps: Maps) -> Compared:
    ...         diagrams = diagrams_of(torch.cat(maps.windows()), dims=(1,), construction="T")
    ...         total = (diagrams[1].death - diagrams[1].birth).sum(dim=1)
    ...         pred, target = total.chunk(2)
    ...         return Compared((pred - target) ** 2, diagrams.status, diagrams.capacity)
    >>> ring = torch.zeros(1, 1, 3, 3)
    >>> ring[..., 1, 1] = 5.0  # a loop that lives from 0 to 5
    >>> TotalPersistenceLoss(reduction="none")(ring, 0 * ring)
    tensor([[25.]])
    """

    default_window: ClassVar[Mapping[int, int]] = {2: 64, 3: 64}  # by the number of axes
    settings: ClassVar[tuple[str, ...]] = ()  # attributes that `repr` shows besides those of this class
    graphed: bool = False

    takes_masks: bool = False
    _hinted = False  # whether `_hint` has judged an input

    def __init__(
        self,
        *,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        reduction: str = "mean",
        graphed: bool = False,
    ) -> None:
        super().__init__()
        self.window = None if window is None else checks.sizes("window", window, 2)
        self.stride = None if stride is None else checks.sizes("stride", stride, 1)
        self.reduction = checks.reduction(reduction)
        self.graphed = checks.boolean("graphed", graphed)
        self._graphs = graphs.Graphs()

    @abstractmethod
    def compare(self, maps: Maps) -> Compared:
        """Return the losses of all windows."""

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps are probably not what is meant; return whether there was anything to judge by.

        Called with the maps of each call on the CPU, outside of tracing, until it returns True.
        """
        return True

    def forward(self, pred: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        pred : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), floating point
            Predicted maps.
        target : Tensor, of pred's shape
            True maps, floating point; also bool or integers if `takes_masks`.
        mask : Tensor, of pred's shape or one that broadcasts to it, bool, optional
            The region of interest: True on the pixels that count. Elsewhere, the truth replaces the prediction, so that
            the loss does not depend on the prediction and the gradient is 0. Values that no truth has, which are NaN
            and integers other than 0 and 1, are background there: 0 if `takes_masks`, and otherwise the largest value
            of the image.

        Returns
        -------
        Tensor
            A scalar, or shape (B, windows) if reduction="none".
        """
        return reduce_windows(self._per_window(pred, target, mask), self.reduction)

    def _per_window(self, pred: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Check the maps, and return the losses of their windows, shape (B, windows)."""
        inputs.pair(pred, target, masks=self.takes_masks)
        if mask is not None:
            mask = region.checked(mask, pred)
            target = region.fill_unknown(target, mask, masks=self.takes_masks)
        if debug.checks_now(target):
            inputs.binary("target", target)
        pred, target = promote(pred, target)
        if mask is not None:
            pred = region.replace_outside(pred, target, mask)
        if not self._hinted and debug.is_eager_cpu(pred):
            self._hinted = self._hint(pred, target)
        if self.graphed and not torch.compiler.is_compiling() and self._is_capturable(pred):
            return self._graphs.run(self._values, pred, target, self._state())
        return self._values(pred, target)

    def _values(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the losses of the windows of maps that were checked and promoted, shape (B, windows)."""
        maps = Maps(pred.flatten(0, 1), target.flatten(0, 1), self._tiling(pred.shape[2:]))
        loss, status, capacity = self.compare(maps)
        if status is None:
            status = nan_status(*maps.windows())
        return checked_windows(loss.view(len(pred), maps.tiling.windows()), status, ("pred", "target"), capacity)

    def _is_capturable(self, pred: Tensor) -> bool:
        """Return whether `compare` never waits for the device with such maps, so that a CUDA graph can record it."""
        return True

    def _state(self) -> tuple[object, ...]:
        """Return the settings that decide what is launched, in a form that can be compared."""
        values = [getattr(self, name) for name in ("window", "stride", *self.settings)]
        return (self.training, *[tuple(x.items()) if isinstance(x, Mapping) else x for x in values])

    def _tiling(self, image: Sequence[int]) -> Tiling:
        """Return how images of that size are cut into windows."""
        rank = len(image)
        window = checks.per_axis("window", self.window or self.default_window[rank], rank)
        stride = window if self.stride is None else checks.per_axis("stride", self.stride, rank)
        return tile(image, window, stride)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_graphs": graphs.Graphs()}  # copies capture graphs of their own

    def extra_repr(self) -> str:
        graphed = ("graphed",) if self.graphed else ()
        return show_settings(self, ("window", "stride", *self.settings, "reduction", *graphed))


def nan_status(*windows: Tensor) -> Tensor:
    """Return which windows hold a NaN, first for the first of the tensors (N, *window), then for the next."""
    return torch.cat([x.detach().flatten(1).isnan().any(dim=1) for x in windows])


def sum_pixels(values: Tensor) -> Tensor:
    """Return the sums over windows (N, *window), shape (N,).

    PyTorch splits the sum over a single large window among threads, but not those over several windows. Sums along one
    axis at a time are small enough to have the same order in both cases, so that no window depends on another.
    """
    while values.dim() > 1:
        values = values.sum(dim=-1)
    return values


def sum_bars(values: Tensor) -> Tensor:
    """Return the sums over the columns of diagrams (N, K), shape (N,).

    Where data decides the number of columns, it depends on the whole batch, and so would the order in which `torch.sum`
    adds. Sums from left to right are the same whatever columns of 0 follow, so that no window depends on another.
    """
    if not debug.is_eager_cpu(values) or values.shape[1] == 0:
        return values.sum(dim=1)
    return values.cumsum(dim=1)[:, -1]


def checked_windows(loss: Tensor, status: Tensor, names: Sequence[str], capacity: int = 0) -> Tensor:
    """Return per-window losses after a look at the status of the windows.

    Parameters
    ----------
    loss : Tensor, of any shape
        Losses of n windows.
    status : Tensor, shape (k n,)
        Status of the windows of k arguments in turn: nonzero where a window holds a NaN or lost its loops. A nonzero
        status raises where checking costs nothing or was requested, and makes the loss NaN otherwise.
    names : sequence of str
        The names of the k arguments.
    capacity : int
        The capacity of the diagrams, if any were computed, which the error message reports.
    """
    if debug.checks_now(status):
        debug.raise_status(status, names, capacity)
    if not debug.is_eager_cpu(status):
        loss = loss.masked_fill(status.view(len(names), -1).any(dim=0).view(loss.shape), math.nan)
    return loss


def reduce_windows(loss: Tensor, reduction: str) -> Tensor:
    """Reduce per-window losses, of any shape; for "image", the last axis is that of an image's windows."""
    if reduction == "image":
        return loss.sum(dim=-1).mean()
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def show_settings(loss: torch.nn.Module, names: Sequence[str]) -> str:
    """Return the settings of those names, for a loss's `extra_repr`."""
    return ", ".join(f"{name}={getattr(loss, name)!r}" for name in names)
