"""Compilation of functions that only kernels call: in a third of the time that Numba takes.

Numba optimizes each function together with all functions that it calls, and turns the result into machine code, again
for each of its callers. Only the kernel's code ever runs. So here, a function that a kernel calls becomes LLVM code and
is optimized by itself, which vectorizes its loops; the kernel's compilation links and optimizes the whole. Python can
still call these functions, as tests do: Numba then compiles them as usual.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numba
from llvmlite.binding import Linkage
from numba._dynfunc import make_function
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NativeLowering

_LONG = 2.0  # seconds of compilation after which a line is logged

# Passes for what no function here contains: contexts, closures, generators, `literally`, loops over tuples of several
# types, expressions of arrays, and reports to developers of Numba. Each goes through the whole function.
_SKIPPED = frozenset(
    (
        "WithLifting",
        "InlineClosureLikes",
        "RewriteDynamicRaises",
        "MakeFunctionToJitFunction",
        "InlineInlinables",
        "FindLiterallyCalls",
        "LiteralUnroll",
        "LiteralPropagationSubPipelinePass",
        "NopythonRewrites",
        "NoPythonSupportedFeatureValidation",
        "AnnotateTypes",
        "DumpParforDiagnostics",
    )
)


class _Progress:
    """The time that this process has spent on compilation."""

    def __init__(self) -> None:
        self.before, self.began, self.logged = 0.0, 0.0, False

    def check(self) -> None:
        """Log a line, once, if compilation takes long."""
        if not self.logged and self.began and self.before + time.monotonic() - self.began > _LONG:
            self.logged = True
            logging.getLogger("gpuph").warning(
                "gpuph is compiling its kernels, which can take up to a minute; they are cached for the next processes"
                " (python -m gpuph.warmup compiles them in advance)"
            )


_progress = _Progress()


class _NestedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The LLVM code of a function, which is optimized by itself and not turned into machine code."""

    _shared_module: Any

    def finalize(self) -> None:
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """Return the code of this function and of all that it calls."""
        if self._shared_module is None:
            module = self._final_module.clone()
            for function in module.functions:
                if not function.is_declaration and function.linkage == Linkage.external:
                    function.linkage = "linkonce_odr"
            for library in dict.fromkeys(self._linking_libraries):
                module.link_in(library._get_module_for_linking(), preserve=True)
            self._shared_module = module
        return self._shared_module


@register_pass(mutates_CFG=True, analysis_only=False)
class _NestedLowering(NativeLowering):  # type: ignore[misc]
    """Translate a function to LLVM code, for its callers."""

    _name = "gpuph_nested_lowering"

    def run_pass(self, state: Any) -> bool:
        _progress.check()
        state.library = _NestedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        flags = state.flags
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        super().run_pass(state)
        lowered = state["cr"]
        # Callers identify a function by its compiled object. This one has no machine code, and nothing calls it.
        compiled = make_function(
            lowered.fndesc.lookup_module(), lowered.fndesc.qualname, "", 0, lowered.env, (state.library,)
        )
        state.targetctx.insert_user_function(compiled, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=compiled)
        return True


class _NestedCompiler(CompilerBase):  # type: ignore[misc]
    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes = {each: description for each, description in pipeline.passes if each.__name__ not in _SKIPPED}
        pipeline.passes = [
            (_NestedLowering if each is NativeLowering else each, description) for each, description in passes.items()
        ]
        pipeline.finalize()
        return [pipeline]


class Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """A function that is compiled as usual where Python calls it, and as described above where a kernel does."""

    @property
    def _numba_type_(self) -> Any:
        """The type of the function in a kernel; Numba's hook."""
        if not hasattr(self, "nested"):
            self.nested = CPUDispatcher(self.py_func, targetoptions=self.targetoptions, pipeline_class=_NestedCompiler)
        return numba.types.Dispatcher(self.nested)

    def compile(self, sig: Any) -> Any:
        _progress.began = time.monotonic()
        try:
            return super().compile(sig)
        finally:
            _progress.before, _progress.began = _progress.before + time.monotonic() - _progress.began, 0.0
