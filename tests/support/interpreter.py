"""Triton's interpreter, several times as fast and with the same results.

Most of the time goes into four things. In each call of a function that a kernel calls, Triton's functions are replaced
again. Reductions and scans with a function of their own call it for each number. A table of dtypes is made for each
result, and each operation looks for overflows.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter


def _replace_functions_of_triton(kernel: object) -> Any:
    """Replace the functions of both modules that kernels and Triton's own functions import."""
    return _REPLACE(types.SimpleNamespace(__globals__={"tl": tl, "core": tl.core}))


def _call(function: Any, *arguments: object, **settings: object) -> Any:
    """Call a function from a kernel, whose launch has replaced Triton's functions."""
    return function.rewrite()(*arguments, **settings)


def _reduce(operation: Any, parts: tuple[Any, ...]) -> list[Any]:
    """Reduce tensors with a function of the kernel."""
    axis = operation.axis
    data = [part.handle.data.ravel() if axis is None else part.handle.data for part in parts]
    *_, results = _running(operation, parts, data, axis or 0)
    if operation.keep_dims:
        places = axis if axis is not None else tuple(range(parts[0].handle.data.ndim))
        results = tuple(np.expand_dims(result, places) for result in results)
    return [operation.to_tensor(result, part.dtype) for result, part in zip(results, parts, strict=True)]


def _scan(operation: Any, parts: tuple[Any, ...]) -> list[Any]:
    """Scan tensors with a function of the kernel."""
    data = [part.handle.data for part in parts]
    columns = zip(*_running(operation, parts, data, operation.axis), strict=True)
    return [
        operation.to_tensor(np.stack(column, operation.axis), part.dtype)
        for column, part in zip(columns, parts, strict=True)
    ]


def _running(operation: Any, parts: tuple[Any, ...], data: list[Any], axis: int) -> Iterator[tuple[Any, ...]]:
    """Combine slice after slice along an axis, and yield what there is after each."""
    kinds, shape = [part.dtype for part in parts], np.delete(data[0].shape, axis)
    total: tuple[Any, ...] = ()
    for row in zip(*(np.moveaxis(part, axis, 0) for part in data), strict=True):
        each = tuple(operation.to_tensor(part, kind) for part, kind in zip(row, kinds, strict=True))
        found = operation.combine_fn.fn(*total, *each) if total else each
        total = tuple(
            operation.to_tensor(part.handle.data.reshape(shape), kind)
            for part, kind in zip(found if isinstance(found, tuple) else (found,), kinds, strict=True)
        )
        yield tuple(part.handle.data.reshape(shape) for part in total)


def _numpy_dtype(kind: Any) -> Any:
    return np.dtype(np.uint64) if isinstance(kind.scalar, tl.pointer_type) else _DTYPE(kind.scalar)


_REPLACE = interpreter._patch_lang
_DTYPE = functools.cache(interpreter._get_np_dtype)


def make_faster() -> None:
    """Replace what is slow in the interpreter; before a kernel is launched, where TRITON_INTERPRET=1."""
    interpreter._patch_lang = _replace_functions_of_triton
    interpreter.InterpretedFunction.__call__ = _call
    interpreter.ReduceOps.generic_reduce = _reduce
    interpreter.ScanOps.generic_scan = _scan
    interpreter._get_np_dtype = _numpy_dtype
    # By default, each operation on integers computes whether it overflows, and asserts nothing.
    interpreter.interpreter_builder.options = interpreter.InterpreterOptions(sanitize_overflow=False)
