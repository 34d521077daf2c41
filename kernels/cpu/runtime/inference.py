"""Type inference that remembers what it has found.

Numba tries, for each operator and each function in a line of code, all signatures that it knows, and does so again each
time that the line is visited. A kernel has few types, so most of these searches repeat an earlier one.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NopythonTypeInference

_known: dict[str, dict[tuple[int, ...], tuple[Any, ...]]] = {}  # signatures by the flags of the caller


class _Typing:
    """Numba's typing context, with a memory of the signatures of calls."""

    def __init__(self, context: Any, known: dict[tuple[int, ...], tuple[Any, ...]]) -> None:
        self._context, self._known = context, known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        """Return the signature of a call; Numba's method."""
        if kws or isinstance(function, types.Dispatcher):
            return self._context.resolve_function_type(function, args, kws)
        # Types are found by their addresses, because hashes of records take long. Numba has one object for a type, and
        # the memory keeps it alive.
        key = id(function), *map(id, args)
        if key not in self._known:
            signature = self._context.resolve_function_type(function, args, kws)
            if signature is None:
                return None
            self._known[key] = signature, function, tuple(args)
        return self._known[key][0]


@register_pass(mutates_CFG=True, analysis_only=False)
class Inference(NopythonTypeInference):  # type: ignore[misc]
    """Numba's type inference, with a memory of the signatures of calls."""

    _name = "gpuph_type_inference"

    def run_pass(self, state: Any) -> bool:
        context = state.typingctx
        state.typingctx = _Typing(context, _known.setdefault(state.flags.summary(), {}))
        try:
            return bool(super().run_pass(state))
        finally:
            state.typingctx = context
