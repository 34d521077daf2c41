"""Metrics that collect values over batches, as MONAI's do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ... import checks
from ...metrics import betti_error, betti_matching_error, ccq

REDUCTIONS = ("none", "mean", "sum", "mean_batch", "sum_batch", "mean_channel", "sum_channel")


class _Metric:
    """A metric of each class of each image, collected over batches.

    Parameters
    ----------
    include_background : bool
        Whether channel 0 counts.
    reduction : {"none", "mean", "sum", "mean_batch", "sum_batch", "mean_channel", "sum_channel"}
        What `aggregate` does with the values of images and classes. As in MONAI, a NaN does not count.
    get_not_nans : bool
        Whether `aggregate` also returns how many values counted.
    **settings
        Settings of the function.

    Raises
    ------
    TypeError
        If the function has no setting of that name.
    """

    _function: ClassVar[Callable[..., Any]]

    def __init__(
        self, include_background: bool = True, reduction: str = "mean", get_not_nans: bool = False, **settings: Any
    ) -> None:
        self.include_background = checks.boolean("include_background", include_background)
        self.reduction = checks.choice("reduction", reduction, REDUCTIONS)
        self.get_not_nans = checks.boolean("get_not_nans", get_not_nans)
        try:
            inspect.signature(self._function).bind(None, None, **settings)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        self.settings = settings
        self._values: list[Tensor] = []

    def __call__(self, y_pred: Tensor | Sequence[Tensor], y: Tensor | Sequence[Tensor]) -> Tensor:
        """Add a batch, and return its values.

        Parameters
        ----------
        y_pred, y : Tensor, shape (B, C, H, W) or (B, C, D, H, W), or a list of B tensors without the first axis
            Masks of C classes: the prediction after a threshold or argmax, and the truth.

        Returns
        -------
        Tensor, shape (B, C), or (B, C - 1) without the background, float32
            The values.
        """
        if len(y_pred) != len(y):
            raise ValueError(f"y must have as many images as y_pred, {len(y_pred)}, got {len(y)}")
        if not len(y):
            raise ValueError("y_pred and y must hold at least one image, got none")
        values = torch.stack([self._of_image(one, other) for one, other in zip(y_pred, y, strict=True)])
        self._values.append(values)
        return values

    def _of_image(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the values of the classes of one image, shape (C,)."""
        checks.tensors(y_pred=y_pred, y=y)
        if y_pred.shape != y.shape or y_pred.dim() not in (3, 4):
            shapes = f"{tuple(y_pred.shape)} and {tuple(y.shape)}"
            raise ValueError(f"y_pred and y must be masks of the same classes, (C, H, W) or (C, D, H, W), got {shapes}")
        first = 0 if self.include_background or len(y) == 1 else 1
        values = [self._measure(p, t) for p, t in zip(y_pred.detach()[first:], y.detach()[first:], strict=True)]
        return torch.stack([torch.as_tensor(value, dtype=torch.float32).cpu() for value in values])

    def _measure(self, pred: Tensor, target: Tensor) -> Tensor | float:
        raise NotImplementedError

    def get_buffer(self) -> Tensor | None:
        """Return the values so far of all processes of torch.distributed, shape (images, classes), or None."""
        found = self._values
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(gathered, self._values)
            found = [values for of_process in gathered for values in of_process]
        return torch.cat(found) if found else None

    def aggregate(self, reduction: str | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Reduce the values so far, as `reduction` says, or by default as the metric does."""
        how = self.reduction if reduction is None else checks.choice("reduction", reduction, REDUCTIONS)
        values = self.get_buffer()
        if values is None:
            raise ValueError("aggregate needs the values of at least one batch, got none")
        result, counted = _reduce(values, how)
        return (result, counted) if self.get_not_nans else result

    def reset(self) -> None:
        """Forget the values."""
        self._values = []


def _about(what: str) -> str:
    """Return the docstring of a metric."""
    return (_Metric.__doc__ or "").replace("A metric", what)


def _reduce(values: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """Reduce values (B, C), and return how many counted; a mean of none is 0, as in MONAI."""
    counted = (~values.isnan()).float()
    if reduction == "none":
        return values, counted
    values = values.nan_to_num(0.0)
    operation, _, axis = reduction.partition("_")
    if operation == "mean" and not axis:  # over classes first, so that images with fewer values weigh as much
        values, counted = _mean(values, counted, 1)
        return _mean(values, (counted > 0).float(), 0)
    dims = {"": (0, 1), "batch": (0,), "channel": (1,)}[axis]
    return (values.sum(dims), counted.sum(dims)) if operation == "sum" else _mean(values, counted, dims[0])


def _mean(values: Tensor, counted: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    number = counted.sum(dim)
    return torch.where(number > 0, values.sum(dim) / number, 0.0), number


class BettiErrorMetric(_Metric):
    __doc__ = _about("`gpuph.metrics.betti_error`")
    _function = staticmethod(betti_error)

    def _measure(self, pred: Tensor, target: Tensor) -> Tensor:
        return betti_error(pred, target, **({"generator": _generator(pred)} | self.settings))


class BettiMatchingErrorMetric(_Metric):
    __doc__ = _about("`gpuph.metrics.betti_matching_error`")
    _function = staticmethod(betti_matching_error)

    def _measure(self, pred: Tensor, target: Tensor) -> Tensor:
        return betti_matching_error(pred, target, **({"generator": _generator(pred)} | self.settings))


class CCQMetric(_Metric):
    __doc__ = _about("The quality of `gpuph.metrics.ccq`")
    _function = staticmethod(ccq)

    def _measure(self, pred: Tensor, target: Tensor) -> float:
        return ccq(pred, target, **self.settings).quality


def _generator(x: Tensor) -> torch.Generator:
    """Return a generator for the windows. It is the same for each image, so that scores can be reproduced."""
    return torch.Generator(x.device).manual_seed(0)
