"""Errors of random windows of arrays in chunks."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .. import checks
from ..arrays import ArrayLike
from ..metrics.betti import BettiSettings, Count, betti_error, draw_places, windows_at
from ..metrics.masks import as_mask
from .chunks import Array, DaskArray, as_dask, as_tensor, chunk_of, dask_array
from .optional import required

DEFAULTS: dict[str, Any] = {
    name: inspect.signature(betti_error).parameters[name].default for name in BettiSettings._fields
}
AT_ONCE = 2**24  # pixels of the windows whose errors a task counts at once, which bounds its memory


def mean_error(
    count: Count, inputs: Sequence[ArrayLike | None], generator: torch.Generator | None, settings: dict[str, Any]
) -> DaskArray:
    """Return the mean error of random windows. Each is counted by the task of the chunk in which it starts."""
    unknown = settings.keys() - DEFAULTS.keys()
    if unknown:
        raise TypeError(f"settings must be among {[*DEFAULTS]}, got {sorted(unknown)}")
    checked = BettiSettings.checked(**{**DEFAULTS, **settings})
    checks.generator(generator)
    cpu = torch.device("cpu")
    checks.generator_on(cpu, generator)
    names = dict(zip(("pred", "target", "mask"), inputs, strict=True))
    arrays = as_dask(**{name: value for name, value in names.items() if name != "mask" or value is not None})
    if len(arrays) == 3 and arrays[2].dtype != np.bool_:
        raise TypeError(f"mask must hold booleans, True on the pixels that count, got {arrays[2].dtype}")
    sides, patches = checked.windows((1, *arrays[0].shape))
    drawn = [draw_places((1, *arrays[0].shape), sides, patches, generator, cpu)[1:] for _ in range(checked.trials)]
    starts = torch.cat([torch.stack(each, dim=1) for each in drawn]).numpy()  # (trials * patches, ndim)
    trial = np.repeat(np.arange(checked.trials), patches)
    chunk = np.stack([chunk_of(arrays[0], axis, starts[:, axis]) for axis in range(arrays[0].ndim)])
    number = np.ravel_multi_index(tuple(chunk), arrays[0].numblocks)
    order = np.argsort(number, kind="stable")

    def sums(first: Array, trials: Array, *blocks: Array) -> Array:
        return _sums(count, checked, sides, first, trials, blocks)

    def mean(sums_of_tasks: list[Array]) -> Array:
        found: Array = (np.sum(sums_of_tasks, 0) / patches).astype(np.float32).mean(dtype=np.float32)
        return found

    delayed = required("dask", "gpuph.interop.dask").delayed
    task, parts = delayed(sums, pure=False), []
    for group in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        low, high = starts[group].min(0), starts[group].max(0) + sides
        region = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        parts.append(task(starts[group] - low, trial[group], *(each[region] for each in arrays)))
    return dask_array().from_delayed(delayed(mean, pure=False)(parts), (), dtype=np.float32)


def _sums(
    count: Count, settings: BettiSettings, sides: Sequence[int], starts: Array, trial: Array, blocks: Sequence[Array]
) -> Array:
    """Return the sum of the errors of windows in each trial, shape (trials,), float64."""
    pred, target, *region = (as_tensor(block) for block in blocks)
    both = torch.stack((as_mask("pred", pred), as_mask("target", target)))[None]
    for inside in region:
        both = both & inside
    total = np.zeros(settings.trials)
    few = max(1, AT_ONCE // int(np.prod(sides)))
    for first in range(0, len(starts), few):
        some = torch.from_numpy(starts[first : first + few])
        places = [torch.zeros(len(some), dtype=torch.int64), *some.unbind(1)]
        errors = count(windows_at(both, places, sides), settings).double().numpy()
        total += np.bincount(trial[first : first + few], errors, settings.trials)
    return total
