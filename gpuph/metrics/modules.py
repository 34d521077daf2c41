"""The metrics as classes of torchmetrics, which accumulate over batches and processes.

>>> import torch
>>> from gpuph.metrics.modules import CCQMetric
>>> metric = CCQMetric(tolerance=2.0)
>>> for row in (5, 6, 7, 8):
...     pred, target = torch.zeros(2, 1, 1, 20, 30, dtype=torch.bool)
...     pred[..., row, :] = target[..., 5, :] = True
...     metric.update(pred, target)
>>> metric.compute()["quality"]
tensor(0.6000, dtype=torch.float64)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import networkx as nx
import torch
from torch import Tensor

from .. import checks
from .. import spacing as sizes
from ..arrays import ArrayLike, as_tensor
from .apls import APLSSettings, APLSTotals
from .apls import measure as measure_apls
from .betti import BettiSettings, count_difference
from .betti import measure as measure_betti
from .betti_matching import count_unmatched
from .ccq import CCQSettings, CCQTotals
from .ccq import measure as measure_ccq
from .cl_dice import ClDiceSettings, ClDiceTotals
from .cl_dice import measure as measure_cl_dice
from .junctions import JunctionSettings, JunctionTotals
from .junctions import measure as measure_junctions
from .too_long_too_short import PathSettings, PathTotals
from .too_long_too_short import measure as measure_paths
from .topo import TOPOSettings, TOPOTotals
from .topo import measure as measure_topo

try:
    from torchmetrics import Metric
except Exception as error:  # torchmetrics loads torchvision if it is installed, which may fail in any way
    if isinstance(error, ModuleNotFoundError) and error.name == "torchmetrics":
        message = "these classes need torchmetrics, which comes with `pip install gpuph[metrics]`"
    else:
        message = f"these classes need torchmetrics, which is installed, but cannot be imported: {error}"
    raise ImportError(message) from error

_Totals: TypeAlias = APLSTotals | CCQTotals | ClDiceTotals | JunctionTotals | PathTotals | TOPOTotals


class _TotalsMetric(Metric):
    """A metric that is computed from sums over all images.

    Attributes
    ----------
    totals : Tensor, shape (n,), float64
        The sums so far.
    """

    full_state_update = False
    totals: Tensor

    def __init__(self, measure: Callable[..., _Totals], record: type[_Totals], **options: Any) -> None:
        super().__init__(**options)
        self._measure, self._record = measure, record
        self.add_state("totals", torch.zeros(len(record._fields), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, mask: ArrayLike | None = None) -> None:
        """Add a pair of inputs, as the function of this metric takes them, with an optional region of interest."""
        totals = self._measure(pred, target, mask=mask)
        self.totals += torch.tensor(totals, dtype=torch.float64, device=self.totals.device)

    def compute(self) -> dict[str, Tensor]:
        """Return the function's result over all images so far: its fields by name, of shape () and float64."""
        fields = self._record(*self.totals.tolist()).result()._asdict()
        return {name: self.totals.new_tensor(value) for name, value in fields.items()}


class APLSMetric(_TotalsMetric):
    """`gpuph.metrics.apls` over all images: a dict of `score`, `target_to_pred` and `pred_to_target`.

    Parameters
    ----------
    spacing, snap, metres_per_pixel, points, seed, min_curvature
        See `gpuph.metrics.apls`. Each update starts from the seed.
    **options
        Options of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        spacing: float = 50.0,
        snap: float = 4.0,
        metres_per_pixel: float | Sequence[float] = 1.0,
        points: int | None = 500,
        seed: int = 0,
        *,
        min_curvature: float | None = None,
        **options: Any,
    ) -> None:
        settings = APLSSettings.checked(spacing, snap, metres_per_pixel, points, seed, min_curvature)
        super().__init__(partial(measure_apls, settings=settings), APLSTotals, **options)


class TooLongTooShortMetric(_TotalsMetric):
    """`gpuph.metrics.too_long_too_short` over all images: a dict of its four shares.

    Parameters
    ----------
    radius, tolerance, paths, seed, spacing, draw_from
        See `gpuph.metrics.too_long_too_short`. Each update starts from the seed.
    **options
        Options of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        radius: float = 25.0,
        tolerance: float = 0.05,
        paths: int = 1000,
        seed: int = 0,
        *,
        spacing: float | Sequence[float] = 1.0,
        draw_from: str = "target",
        **options: Any,
    ) -> None:
        settings = PathSettings.checked(radius, tolerance, paths, seed, spacing, draw_from)
        super().__init__(partial(measure_paths, settings=settings), PathTotals, **options)


class TOPOMetric(_TotalsMetric):
    """`gpuph.metrics.topo` over the starting points of all images: a dict of its four shares.

    Parameters
    ----------
    radius, interval, tolerance, starts, seed, angle, average, marbles_per_hole, spacing
        See `gpuph.metrics.topo`. Each update starts from the seed.
    **options
        Options of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        radius: float = 300.0,
        interval: float = 5.0,
        tolerance: float = 10.0,
        starts: int = 200,
        seed: int = 0,
        *,
        angle: float = 45.0,
        average: str = "micro",
        marbles_per_hole: int = 1,
        spacing: float | Sequence[float] = 1.0,
        **options: Any,
    ) -> None:
        size = sizes.checked(spacing)
        settings = TOPOSettings(radius, interval, tolerance, starts, seed, angle, average, marbles_per_hole, size)
        super().__init__(partial(measure_topo, settings=settings.checked()), TOPOTotals, **options)


class JunctionScoreMetric(_TotalsMetric):
    """`gpuph.metrics.junction_score` over the junctions of all images: a dict of its four fields.

    Parameters
    ----------
    radius, merge, spacing
        See `gpuph.metrics.junction_score`.
    **options
        Options of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        radius: float = 25.0,
        merge: float = 5.0,
        *,
        spacing: float | Sequence[float] = 1.0,
        **options: Any,
    ) -> None:
        settings = JunctionSettings.checked(radius, merge, spacing)
        super().__init__(partial(measure_junctions, settings=settings), JunctionTotals, **options)


class CCQMetric(_TotalsMetric):
    """`gpuph.metrics.ccq` over the skeletons of all images: a dict of `correctness`, `completeness` and `quality`.

    Parameters
    ----------
    tolerance, spacing
        See `gpuph.metrics.ccq`.
    **options
        Options of `torchmetrics.Metric`.
    """

    def __init__(self, tolerance: float = 5.0, *, spacing: float | Sequence[float] = 1.0, **options: Any) -> None:
        settings = CCQSettings.checked(tolerance, spacing)
        super().__init__(partial(measure_ccq, settings=settings), CCQTotals, **options)


class ClDiceMetric(_TotalsMetric):
    """`gpuph.metrics.cl_dice` over all images: a dict of `score`, `precision` and `sensitivity`.

    Parameters
    ----------
    spacing
        See `gpuph.metrics.cl_dice`.
    **options
        Options of `torchmetrics.Metric`.
    """

    def __init__(self, *, spacing: float | Sequence[float] = 1.0, **options: Any) -> None:
        settings = ClDiceSettings.checked(spacing)
        super().__init__(partial(measure_cl_dice, settings=settings), ClDiceTotals, **options)


class BettiErrorMetric(Metric):
    """The mean of `gpuph.metrics.betti_error` over all images: a tensor of shape (), float64.

    Parameters
    ----------
    dim, window, patches, trials, border, construction, spacing
        See `gpuph.metrics.betti_error`.
    seed : int
        The seed of the generator that draws the windows. Each update starts from it.
    **options
        Options of `torchmetrics.Metric`.
    """

    full_state_update = False
    total: Tensor
    images: Tensor
    _count = staticmethod(count_difference)

    def __init__(
        self,
        dim: int = 1,
        window: float = 64,
        patches: int | None = None,
        trials: int = 10,
        border: bool = True,
        construction: str = "T",
        seed: int = 0,
        *,
        spacing: float | Sequence[float] = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._seed = checks.seed(seed)
        self._settings = BettiSettings.checked(dim, window, patches, trials, border, construction, spacing=spacing)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, mask: ArrayLike | None = None) -> None:
        """Add a pair of inputs, as `betti_error` takes them. No data leaves the device that masks and metric share."""
        generator, images = None, 1
        for name, one in (("pred", pred), ("target", target)):
            if not isinstance(one, nx.Graph):
                found = as_tensor(name, one)
                generator = torch.Generator(found.device).manual_seed(self._seed)
                images = len(found) if found.dim() in (4, 5) else 1
                break
        error = measure_betti(pred, target, self._settings, generator, mask, self._count)
        self.total += error.to(self.total.device) * images
        self.images += images

    def compute(self) -> Tensor:
        """Return the mean over the images so far; NaN before the first update."""
        return self.total / self.images


class BettiMatchingErrorMetric(BettiErrorMetric):
    """The mean of `gpuph.metrics.betti_matching_error` over all images, with the parameters of `BettiErrorMetric`."""

    _count = staticmethod(count_unmatched)
