"""What the launchers share."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from ...records import Points

# Triton's interpreter takes one program, and one operation, at a time; wide blocks are what makes it fast.
INTERPRETED = triton.knobs.runtime.interpret

if INTERPRETED and triton.__version__.startswith("3.6."):
    from triton.runtime import interpreter

    _patch = interpreter._patch_lang_tensor

    def _patch_index(tensor, scope):
        """Loops take int() of bounds that are arrays of one value, which NumPy refuses since 2.4."""
        _patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = _patch_index


# Lanes of a warp, or of AMD's wavefront. Blocks of one warp have as many elements. With fewer, lanes without an element
# of their own would repeat the volatile reads of others, and might see other values.
WARP = 64 if torch.version.hip else 32

# Arguments that are often parts of larger tensors, such as the second half of a batch. Whether they begin at a multiple
# of 16 bytes must not decide which variant of a kernel runs, or an odd batch would compile another one. The same holds
# for images and volumes.
DIAGRAMS = ["birth_a", "death_a", "count_a", "birth_b", "death_b", "count_b"]


def registers(most: int) -> dict[str, int]:
    """The option by which a thread has at most so many registers.

    Left alone, one version of ptxas or another spills some, to fit more blocks on a multiprocessor. With the numbers
    that are given here, none from Triton 3.6 to 3.8 does, but for 8 bytes in one. ROCm's compiler does not know the
    option.
    """
    return {} if torch.version.hip else {"maxnreg": most}


def in_rows(
    a: Points[Tensor], b: Points[Tensor]
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[int, int, int, int]]:
    """Return two diagrams as kernels read them: columns side by side, and contiguous counts.

    They are copied only where that is not so; parts of a tensor (N, 2, K) stay where they are. Returns also how far
    apart the rows of each side are, and how many columns it has: row_a, row_b, size_a, size_b.
    """
    a, b = _in_rows(a), _in_rows(b)
    sizes = a.birth.stride(0), b.birth.stride(0), a.birth.shape[1], b.birth.shape[1]
    return (a.birth, a.death, a.count, b.birth, b.death, b.count), sizes


def _in_rows(points: Points[Tensor]) -> Points[Tensor]:
    birth, death, count = points
    if birth.stride(1) != 1 or birth.stride() != death.stride():
        birth, death = birth.contiguous(), death.contiguous()
    return Points(birth, death, count.contiguous())
