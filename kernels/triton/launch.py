"""What the launchers share."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

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


def registers(most: int) -> dict[str, int]:
    """The option by which a thread has at most so many registers.

    Left alone, one version of ptxas or another spills some, to fit more blocks on a multiprocessor. With the numbers
    that are given here, none from Triton 3.6 to 3.9 does. ROCm's compiler does not know the option.
    """
    return {} if torch.version.hip else {"maxnreg": most}


def in_rows(birth: Tensor, death: Tensor) -> tuple[Tensor, Tensor, int]:
    """Births and deaths (N, K) whose columns lie side by side, and how far apart the rows of both are.

    They are copied only where that is not so; parts of a tensor (N, 2, K) stay where they are.
    """
    if birth.stride(1) != 1 or birth.stride() != death.stride():
        birth, death = birth.contiguous(), death.contiguous()
    return birth, death, birth.stride(0)
