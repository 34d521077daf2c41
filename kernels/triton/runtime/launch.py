"""Options and layouts that the launchers share."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from ...records import Points

# Triton's interpreter runs one program, and one operation, at a time, and needs wide blocks to be fast.
INTERPRETED = triton.knobs.runtime.interpret

if INTERPRETED and triton.__version__.startswith("3.6."):
    from triton.runtime import interpreter

    _patch = interpreter._patch_lang_tensor

    def _patch_index(tensor: Any, scope: Any) -> None:
        """Let loops take int() of bounds that are arrays of one value, which NumPy refuses since 2.4."""
        _patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = _patch_index


# Lanes of a warp, or of AMD's wavefront. Blocks of one warp have as many elements: with fewer, lanes without an element
# would repeat the volatile reads of other lanes, and might see other values.
WARP = 64 if torch.version.hip else 32

# Arguments that are often views of larger tensors, such as the second half of a batch. Whether a view is aligned to 16
# bytes must not select the variant of a kernel, or a batch of odd size would compile another one. The same holds for
# images and volumes.
DIAGRAMS = ["birth_a", "death_a", "count_a", "birth_b", "death_b", "count_b"]


def cdiv(a: int, b: int) -> int:
    """Return a / b, rounded up; `triton.cdiv` takes several microseconds."""
    return -(-a // b)


def registers(most: int) -> dict[str, int]:
    """Return the option that limits the registers of a thread.

    By default, some versions of ptxas spill registers in order to fit more blocks on a multiprocessor. With the limits
    that the launchers set, Triton 3.6 to 3.8 spill none, except for 8 bytes in one kernel. ROCm's compiler does not
    know the option.
    """
    return {} if torch.version.hip else {"maxnreg": most}


class Layout(NamedTuple):
    """Where kernels find the columns of two diagrams."""

    row_a: int  # elements from one row to the next
    row_b: int
    size_a: int  # columns
    size_b: int


def in_rows(points: Points[Tensor]) -> Points[Tensor]:
    """Return diagrams with adjacent columns, rows equally far apart in births and deaths, and contiguous counts.

    Tensors with another layout are copied; the halves of a tensor (N, 2, K) are not.
    """
    birth, death, count = points
    if birth.stride(1) != 1 or birth.stride() != death.stride():
        birth, death = birth.contiguous(), death.contiguous()
    return Points(birth, death, count.contiguous())


def layout(a: Points[Tensor], b: Points[Tensor]) -> Layout:
    """Return the layout of two diagrams that `in_rows` returned."""
    return Layout(a.birth.stride(0), b.birth.stride(0), a.birth.shape[1], b.birth.shape[1])
