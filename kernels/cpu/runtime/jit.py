"""Compilation of kernels, and their cache on disk."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile

try:
    from .nested import Dispatcher
except ImportError:
    # Parts of Numba that it does not document have moved. Its own dispatcher takes three times as long to compile.
    from numba.core.registry import CPUDispatcher as Dispatcher  # type: ignore[no-redef]

# Numba's cache on disk checks only the file of the cached function, and would miss a change in a function that it
# calls. A digest of all sources in the name of the function creates a new entry after any change.
_digest = hashlib.sha256()
for _file in sorted(Path(__file__).parents[1].rglob("*.py")):
    _digest.update(_file.read_bytes())
_SOURCES = _digest.hexdigest()[:12]

# Index type. Numba wraps signed indices that may be negative, and the checks prevent vector instructions.
unsigned = np.uintp

# Zero as an argument, or as the start of a count that is passed on: Numba compiles a function again for a literal 0.
zero = np.int64(0)


def _compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function to run without the interpreter's lock."""

    def decorate(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:
            return function
        return Dispatcher(function, targetoptions={"nopython": True, "nogil": True, "error_model": "numpy", **options})

    return decorate


# Decorator of functions that kernels call. They are compiled with their caller, and run without the interpreter's lock.
# They allocate and return no arrays, so the views that they take of their arguments need no reference counts. Counting
# took a quarter of the time of a window of 64 x 64, and the counts are shared by all threads.
device: Callable[..., Any] = _compiled(_nrt=False)

# Decorator of such functions for inner loops. They are inlined, because passing arrays, of seven words each, can cost
# as much as the work itself.
inlined: Callable[..., Any] = _compiled(_nrt=False, forceinline=True)

# Decorator of functions that allocate or return arrays. They count references around each call, so they should not call
# small functions in a loop.
allocating: Callable[..., Any] = _compiled()


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls, to run without the interpreter's lock. Cache it on disk if possible."""
    function.__qualname__ += f".{_SOURCES}"
    compiled: Any = _compiled()(function)
    if not numba.config.DISABLE_JIT:
        try:
            compiled._cache = _Cache(function)
        except RuntimeError as error:
            _warn_uncached(str(error))
    return compiled


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, which compiles and warns instead of raising if a file cannot be read or written."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFile(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # unpickling damaged data can raise anything
            _warn_damaged(self.cache_path, repr(error))
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            try:
                super().save_overload(sig, data)
            except OSError:
                raise
            except Exception:  # saving reads the index first, which may be damaged
                self.flush()
                super().save_overload(sig, data)
        except Exception as error:
            _warn_uncached(f"writing to {self.cache_path} failed with {error!r}")


class _CheckedFile(IndexDataCacheFile):  # type: ignore[misc]
    """Data files with a digest at the end: damaged machine code can be unpickled, and would crash when it runs."""

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(content + hashlib.sha256(content).digest())

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        size = len(content) - hashlib.sha256().digest_size
        if hashlib.sha256(content[:size]).digest() != content[size:]:
            raise ValueError(f"{name} does not match its digest")
        return super()._load_data(name)  # unpickling stops before the digest


_warned: set[str] = set()


def _warn_once(problem: str, detail: str) -> None:
    """Warn once per process and problem, because all kernels are likely to have the same problem."""
    if problem not in _warned:
        _warned.add(problem)
        warnings.warn(f"{problem} ({detail})", RuntimeWarning, stacklevel=2)


def _warn_uncached(detail: str) -> None:
    _warn_once(
        "gpuph's kernels are compiled again in each process, because they cannot be cached on disk;"
        " set NUMBA_CACHE_DIR to a writable directory to cache them",
        detail,
    )


def _warn_damaged(directory: str, detail: str) -> None:
    _warn_once(f"a file in gpuph's kernel cache in {directory} is damaged; its kernel is compiled again", detail)
