"""Warnings about inputs that are valid but probably not what is meant.

Each kind of warning is a UserWarning that is given once in a process, even if the filters of `warnings` would repeat
it. The filter "ignore" silences it, and "error" raises it. None of these functions may be called under tracing; on
devices other than the CPU, only `slices`, `signals` and `one_channel` may, which read no data.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from torch import Tensor

_given: set[str] = set()  # the kinds of warning that this process has given

_BEYOND = 1e-3  # how far rounding, or a resampled mask, may leave [0, 1]
_CURVES = 0.25  # the largest part of a distance map in which it is 0
_CHANNELS = 4  # as many slices or fewer are taken for channels
_PIXELS = 256  # if they have as many pixels as this, or more
_SIDE = 16  # signals are taken for an image if there are as many as this, of as many samples, or more
_ASPECT = 4  # and if the longer side is at most so many times the shorter


def probabilities(name: str, x: Tensor) -> bool:
    """Warn if values are not probabilities; return whether there are any values."""
    return _from_0_to_1(name, x, "probabilities", "These look like logits: apply sigmoid or softmax first.")


def mask(name: str, x: Tensor) -> bool:
    """Warn if values are not those of a mask, 0 and 1; return whether there are any values."""
    return _from_0_to_1(name, x, "a mask of 0 and 1", "Divide a mask of 0 and 255 by 255.")


def probabilities_and_mask(pred: Tensor, target: Tensor) -> bool:
    """Warn if `pred` does not hold probabilities or `target` is not a mask; return whether both have any values."""
    return probabilities("pred", pred) & mask("target", target)


def _from_0_to_1(name: str, x: Tensor, expected: str, advice: str) -> bool:
    if expected in _given or x.numel() == 0:
        return x.numel() > 0
    low, high = (float(value) for value in x.detach().aminmax())
    if low < -_BEYOND or high > 1 + _BEYOND:
        _warn(expected, f"{name} must hold {expected}, but its values are from {low:g} to {high:g}. {advice}")
    return True


def distances(target: Tensor) -> bool:
    """Warn if a mask was given for a distance map; return whether the map has more than one value.

    A mask has two values, and a good part of it is 0. A distance map that is truncated at the size of a pixel has two
    values as well, but it is 0 only on curves, which are a small part.
    """
    if target.numel() == 0:
        return False
    x = target.detach()
    low, high = x.aminmax()
    if not low < high:  # there is no object, or there is a NaN, which raises elsewhere
        return False
    if "distances" in _given or low != 0:
        return True
    off = x == 0
    if int(off.sum()) > _CURVES * x.numel() and bool((off | (x == high)).all()):
        _warn(
            "distances",
            f"target must be a distance map, 0 on curves, but its values are 0 and {float(high):g} alone, as in a"
            " mask. gpuph.truncated_distance_map makes a distance map of a mask.",
        )
    return True


def slices(name: str, shape: Sequence[int], *, batched: bool = True) -> None:
    """Warn if volumes of that shape, (N, D, H, W) or (D, H, W), look like images with channels."""
    if len(shape) != 3 + batched or "channels" in _given:
        return
    slices, height, width = shape[-3:]
    if slices <= _CHANNELS and height * width >= _PIXELS:
        volumes = f"{shape[0]} volumes" if batched else "one volume"
        advice = (
            f"If the second axis holds channels, fold it into the batch: {name}.flatten(0, 1)."
            if batched
            else "If the first axis holds channels, leave out batched=False, so that they are a batch of images."
        )
        _warn(
            "channels",
            f"{name} has the shape {tuple(shape)}, which is read as {volumes} of {slices} slices. {advice}"
            " If volumes are meant, silence this warning with"
            f' warnings.filterwarnings("ignore", message="{name} has the shape").',
        )


def signals(name: str, shape: Sequence[int]) -> None:
    """Warn if signals of that shape (N, L) look like one image."""
    if len(shape) == 2 and min(shape) >= _SIDE and max(shape) <= _ASPECT * min(shape) and "signals" not in _given:
        _warn(
            "signals",
            f"{name} has the shape {tuple(shape)}, which is read as {shape[0]} signals of {shape[1]} samples. For one"
            " image, pass batched=False. If signals are meant, silence this warning with"
            f' warnings.filterwarnings("ignore", message="{name} has the shape").',
        )


def one_channel(setting: str) -> None:
    """Warn that a setting for several channels has no effect on the one channel that there is."""
    kind = f"{setting} of one channel"
    if kind not in _given:
        _warn(kind, f"pred has one channel, so {setting} is ignored.")


def _warn(kind: str, message: str) -> None:
    """Give a warning, and remember its kind unless it was raised."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("gpuph", "torch"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
    _given.add(kind)
