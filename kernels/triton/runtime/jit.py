"""Kernels that launch quickly: their compiled variants are looked up by little more than the dtypes of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from .launch import INTERPRETED
from .replay import launched

_hooks = triton.knobs.runtime  # such as a profiler's
_LEAST, _MOST = -(2**31), 2**31 - 1  # integers that Triton passes in 32 bits


def kernel(
    *, do_not_specialize: Sequence[str] = (), do_not_specialize_on_alignment: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Any]:
    """Make a kernel of a function, as `triton.jit` does; its launches take a third of the time.

    Options are those of `triton.jit`. Arguments come by position, and constants and launch options by name. Settings of
    Triton that change what it compiles, such as TRITON_DEBUG, hold from the first launch of a variant on.
    """
    options = {
        "do_not_specialize": [*do_not_specialize],
        "do_not_specialize_on_alignment": [*do_not_specialize_on_alignment],
    }

    def decorate(function: Callable[..., None]) -> Any:
        return triton.jit(function, **options) if INTERPRETED else _Kernel(function, **options)

    return decorate


class _Kernel(JITFunction):  # type: ignore[misc]
    """A kernel of Triton with a cache of its variants.

    For each launch, Triton classifies all arguments and options, and checks that no global value has changed. Here, the
    variant is determined by the device, the dtypes of tensors, constants and options. A launch with anything else that
    might matter goes through Triton: an unaligned tensor or an integer that the variant depends on, or an integer of
    more than 32 bits.
    """

    def __init__(self, function: Callable[..., None], **options: Any) -> None:
        super().__init__(function, **options)
        self._specialized = [
            not (param.do_not_specialize or param.do_not_specialize_on_alignment) for param in self.params
        ]
        self._variants: dict[tuple[object, ...], tuple[Any, tuple[object, ...]]] = {}
        self._devices: set[torch.device] = set()  # of the tensors of these variants

    def __getitem__(self, grid: tuple[int]) -> Callable[..., None]:
        def launch(*arguments: Any, **constants: Any) -> None:
            kinds = self._kinds(arguments)
            if kinds is None or self.pre_run_hooks:
                self.run(*arguments, grid=grid, warmup=False, **constants)
                return
            first, *_ = arguments
            on = first.device
            # Asking for the current device fails where there is none, as it may be for tensors without data.
            device = driver.active.get_current_device() if on in self._devices else None
            key = device, on, *kinds, *constants, *constants.values()
            if device is None or (found := self._variants.get(key)) is None:
                compiled = self.run(*arguments, grid=grid, warmup=False, **constants)
                if compiled is not None:  # a hook of Triton can prevent that
                    found = self._add_variant(compiled, key, arguments, constants)
                    launched(compiled, grid, arguments + found[1])
                return
            compiled, rest = found
            arguments += rest
            stream = driver.active.get_current_stream(device)
            enter, leave, data = _hooks.launch_enter_hook, _hooks.launch_exit_hook, None
            if enter.calls or leave.calls:
                data = compiled.launch_metadata(grid, stream, *arguments)
            else:
                enter = leave = None  # calling them would take as long as the launch
            compiled.run(
                grid[0], 1, 1, stream, compiled.function, compiled.packed_metadata, data, enter, leave, *arguments
            )
            launched(compiled, grid, arguments)

        return launch

    def _add_variant(
        self, compiled: Any, key: tuple[object, ...], arguments: tuple[Any, ...], constants: dict[str, Any]
    ) -> tuple[Any, tuple[object, ...]]:
        """Remember a variant, and return it with the constants that follow the arguments of a launch."""
        found = compiled, tuple([constants[name] for name in self.arg_names[len(arguments) :]])
        first, *_ = arguments
        self._devices.add(first.device)
        key = driver.active.get_current_device(), *key[1:]
        self._variants[key] = found
        return found

    def _kinds(self, arguments: tuple[Any, ...]) -> list[torch.dtype] | None:
        """Return the dtypes of tensors, or None if the variant depends on more than these."""
        kinds = []
        for x, specialized in zip(arguments, self._specialized, strict=False):
            if type(x) is int:
                if specialized or not _LEAST <= x <= _MOST:
                    return None
            elif isinstance(x, torch.Tensor):
                if specialized and x.data_ptr() & 15:
                    return None
                kinds.append(x.dtype)
            elif type(x) is not float:
                return None
        return kinds
