"""How a kernel is compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

# Numba's disk cache looks at the file of the cached function only, and would miss a change in a stage that it calls.
# A digest of all stages in the function's name makes such a change a new entry.
_digest = hashlib.sha256()
for _file in sorted(Path(__file__).parent.glob("*.py")):
    _digest.update(_file.read_bytes())
_SOURCES = _digest.hexdigest()[:12]

# An index that Numba does not suspect of being negative, a suspicion that prevents vector instructions.
unsigned = np.uintp

# A function that kernels call. Compiled with its caller, without the interpreter's lock. It makes no arrays and returns
# none, so the views that it takes of its arguments need not be counted as references: that took a quarter of the time
# of a window of 64 x 64, and the counts are shared by all threads.
device: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", _nrt=False)

# One that is called in an inner loop: it becomes a part of its caller, since to pass on arrays, seven words each, can
# cost as much as what is done with them.
inlined: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", _nrt=False, forceinline=True)

# One that makes or returns arrays. It counts references around each call that it makes, so what it calls in a loop is
# best a loop itself.
allocating: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls: without the interpreter's lock, cached on disk."""
    function.__qualname__ += f".{_SOURCES}"
    compiled: Callable[..., Any] = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return compiled
