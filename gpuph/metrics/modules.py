"""The metrics as classes that collect over batches and processes, for training loops that speak torchmetrics.

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

from collections.abc import Callable
from functools import partial
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from .. import checks
from .apls import result as apls_result
from .apls import settings as apls_settings
from .apls import totals as apls_totals
from .betti import measure as betti_measure
from .betti import settings as betti_settings
from .ccq import result as ccq_result
from .ccq import totals as ccq_totals
from .junctions import result as junction_result
from .junctions import settings as junction_settings
from .junctions import totals as junction_totals
from .too_long_too_short import result as path_result
from .too_long_too_short import settings as path_settings
from .too_long_too_short import totals as path_totals

try:
    from torchmetrics import Metric
except Exception as error:  # it loads torchvision where that is installed, which raises anything if it does not fit
    if isinstance(error, ModuleNotFoundError) and error.name == "torchmetrics":
        message = "these classes need torchmetrics, which comes with `pip install gpuph[metrics]`"
    else:
        message = f"these classes need torchmetrics, which is installed, but cannot be imported: {error}"
    raise ImportError(message) from error


class _Totals(Metric):
    """A metric that is computed from sums over images.

    Attributes: `totals` (4,), float64, the sums so far.
    """

    full_state_update = False
    totals: Tensor

    def __init__(self, measure: Callable[..., np.ndarray], result: Callable[[np.ndarray], Any], **options: Any) -> None:
        super().__init__(**options)
        self._measure, self._result = measure, result
        self.add_state("totals", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Tensor | nx.Graph, target: Tensor | nx.Graph) -> None:
        """Add images: what the function of this metric takes."""
        self.totals += torch.from_numpy(self._measure(pred, target)).to(self.totals.device)

    def compute(self) -> dict[str, Tensor]:
        """The function's result over all images so far: its fields by name, of shape () and float64."""
        fields = self._result(self.totals.cpu().numpy())._asdict()
        return {name: self.totals.new_tensor(value) for name, value in fields.items()}


class APLSMetric(_Totals):
    """`gpuph.metrics.apls` over all images: a dict of `score`, `target_to_pred` and `pred_to_target`.

    Parameters
    ----------
    spacing, snap, metres_per_pixel, points, seed
        As in `gpuph.metrics.apls`. Each update draws anew from the seed.
    **options
        Those of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        spacing: float = 50.0,
        snap: float = 4.0,
        metres_per_pixel: float = 1.0,
        points: int | None = 500,
        seed: int = 0,
        **options: Any,
    ) -> None:
        measure = partial(apls_totals, **apls_settings(spacing, snap, metres_per_pixel, points, seed))
        super().__init__(measure, apls_result, **options)


class TooLongTooShortMetric(_Totals):
    """`gpuph.metrics.too_long_too_short` over all images: a dict of its four shares.

    Parameters
    ----------
    radius, tolerance, paths, seed
        As in `gpuph.metrics.too_long_too_short`. Each update draws anew from the seed.
    **options
        Those of `torchmetrics.Metric`.
    """

    def __init__(
        self, radius: float = 25.0, tolerance: float = 0.05, paths: int = 1000, seed: int = 0, **options: Any
    ) -> None:
        measure = partial(path_totals, **path_settings(radius, tolerance, paths, seed))
        super().__init__(measure, path_result, **options)


class JunctionScoreMetric(_Totals):
    """`gpuph.metrics.junction_score` over the junctions of all images: a dict of its four fields.

    Parameters
    ----------
    radius, merge
        As in `gpuph.metrics.junction_score`.
    **options
        Those of `torchmetrics.Metric`.
    """

    def __init__(self, radius: float = 25.0, merge: float = 5.0, **options: Any) -> None:
        super().__init__(partial(junction_totals, **junction_settings(radius, merge)), junction_result, **options)


class CCQMetric(_Totals):
    """`gpuph.metrics.ccq` over the skeletons of all images: a dict of `correctness`, `completeness` and `quality`.

    Parameters
    ----------
    tolerance
        As in `gpuph.metrics.ccq`.
    **options
        Those of `torchmetrics.Metric`.
    """

    def __init__(self, tolerance: float = 5.0, **options: Any) -> None:
        measure = partial(ccq_totals, tolerance=checks.number("tolerance", tolerance, 0.0))
        super().__init__(measure, ccq_result, **options)


class BettiErrorMetric(Metric):
    """`gpuph.metrics.betti_error`, the mean over all images: a tensor of shape (), float64.

    Parameters
    ----------
    dim, window, patches, trials, border, construction
        As in `gpuph.metrics.betti_error`.
    seed : int
        Where the windows are drawn from, anew in each update.
    **options
        Those of `torchmetrics.Metric`.
    """

    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(
        self,
        dim: int = 1,
        window: int = 64,
        patches: int | None = None,
        trials: int = 10,
        border: bool = True,
        construction: str = "T",
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._seed = checks.seed(seed)
        self._measure: Callable[..., Tensor] = partial(
            betti_measure, **betti_settings(dim, window, patches, trials, border, construction)
        )
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Tensor | nx.Graph, target: Tensor | nx.Graph) -> None:
        """Add images: what `betti_error` takes. Nothing leaves the masks' device, if this metric is there, too."""
        mask = target if isinstance(pred, nx.Graph) else pred
        generator = None
        images = 1
        if isinstance(mask, Tensor):
            generator = torch.Generator(mask.device).manual_seed(self._seed)
            images = len(mask) if mask.dim() in (4, 5) else 1
        error = self._measure(pred, target, generator=generator)
        self.total += error.to(self.total.device) * images
        self.images += images

    def compute(self) -> Tensor:
        """The mean over the images so far; NaN before the first."""
        return self.total / self.images
