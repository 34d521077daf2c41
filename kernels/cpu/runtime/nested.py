"""Compilation of kernels, and of the functions that only kernels call: in a fraction of the time that Numba takes.

Numba optimizes each function together with all functions that it calls, and turns the result into machine code, again
for each of its callers. Only the kernel's code ever runs. So here, a function that a kernel calls becomes LLVM code and
is optimized by itself, which vectorizes its loops; the kernel's compilation links and optimizes the whole. Python can
still call these functions, as tests do: they are then compiled as kernels are.
"""

from __future__ import annotations

import gc
import logging
import time
from typing import Any

import numba
from llvmlite.binding import Linkage
from numba._dynfunc import make_function
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NativeLowering, NopythonTypeInference

from .inference import Inference

_OBJECTS = 50_000  # between two collections of garbage; nearly all objects that compilation makes stay
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


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel and of all functions that it calls."""

    _linking_libraries: Any

    def finalize(self) -> None:
        """Link, optimize and compile; Numba's method."""
        everything: dict[Any, None] = {}
        waiting = [*self._linking_libraries]
        while waiting:
            library = waiting.pop()
            if library not in everything:
                everything[library] = None
                if isinstance(library, _NestedLibrary):
                    waiting += library._linking_libraries
        self._linking_libraries = [*everything]
        super().finalize()


class _NestedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The LLVM code of a function, which is optimized by itself and not turned into machine code."""

    _shared_module: Any

    def finalize(self) -> None:
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """Return the code of this function, without that of the functions that it calls."""
        if self._shared_module is None:
            module = self._final_module
            for function in module.functions:
                if not function.is_declaration and function.linkage == Linkage.external:
                    function.linkage = "linkonce_odr"
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


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):  # type: ignore[misc]
    """Translate a kernel to machine code."""

    _name = "gpuph_lowering"

    def run_pass(self, state: Any) -> bool:
        _progress.check()
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags.no_cfunc_wrapper = True  # for callers in C, of which there are none
        return bool(super().run_pass(state))


class _Passes(PassManager):  # type: ignore[misc]
    """Passes that run without the reports to listeners that Numba makes before and after each pass."""

    def _runPass(self, index: int, each: Any, state: Any) -> None:
        each.analysis = self._analysis
        each.run_initialization(state)
        each.run_pass(state)
        each.run_finalizer(state)


class _Compiler(CompilerBase):  # type: ignore[misc]
    """The compilation of kernels."""

    lowering: Any = _Lowering

    def define_pipelines(self) -> list[Any]:
        instead = {NativeLowering: self.lowering, NopythonTypeInference: Inference}
        default = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes = {each: description for each, description in default.passes if each.__name__ not in _SKIPPED}
        pipeline = _Passes("gpuph")
        pipeline.passes = [(instead.get(each, each), description) for each, description in passes.items()]
        pipeline.finalize()
        return [pipeline]


class _NestedCompiler(_Compiler):
    """The compilation of functions that kernels call."""

    lowering = _NestedLowering


class Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """A function that becomes machine code where Python calls it, and LLVM code where a kernel does."""

    def __init__(self, py_func: Any, locals: Any = None, targetoptions: Any = None) -> None:
        super().__init__(py_func, locals or {}, targetoptions or {}, pipeline_class=_Compiler)

    @property
    def _numba_type_(self) -> Any:
        """The type of the function in a kernel; Numba's hook."""
        if not hasattr(self, "nested"):
            self.nested = CPUDispatcher(self.py_func, targetoptions=self.targetoptions, pipeline_class=_NestedCompiler)
        return numba.types.Dispatcher(self.nested)

    def compile(self, sig: Any) -> Any:
        """Compile for arguments of some types; Numba's method."""
        with global_compiler_lock:
            _progress.began, thresholds = time.monotonic(), gc.get_threshold()
            try:
                if thresholds[0] > 0:  # else there are no collections
                    gc.set_threshold(max(thresholds[0], _OBJECTS), *thresholds[1:])
                return super().compile(sig)
            finally:
                gc.set_threshold(*thresholds)
                _progress.before, _progress.began = _progress.before + time.monotonic() - _progress.began, 0.0
