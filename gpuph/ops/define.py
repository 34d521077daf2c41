"""Definition of operators for PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch

from .cpu_kernels import parked_at_exit

implementations: dict[str, Callable[..., Any]] = {}  # by name, for operators that call others, and for tests


def define(schema: str, fake: Callable[..., Any], run: Callable[..., Any]) -> None:
    """Define the operator `torch.ops.gpuph.name`.

    Parameters
    ----------
    schema : str
        The name and the signature of the operator.
    fake : callable
        Function that returns results of the right shapes and dtypes, for tracing.
    run : callable
        Function that computes the results, on every device.
    """
    name = f"gpuph::{schema.partition('(')[0]}"
    torch.library.define(name, schema[schema.index("(") :])
    torch.library.register_fake(name, fake)
    implementations[schema.partition("(")[0]] = run
    # "default" is for all devices, including those that only `use_kernels("cpu")` serves, such as MPS.
    torch.library.impl(name, "default")(_UnseenByDynamo(parked_at_exit(run)))


class _UnseenByDynamo:
    """A function that `torch.compile` does not trace, like those that `torch.library.register_kernel` makes.

    `register_kernel` imports Dynamo for this, which takes most of a second in the first call of a process that compiles
    nothing.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f, self.hidden = f, False

    def __call__(self, *arguments: Any) -> Any:
        if not self.hidden and "torch._dynamo" in sys.modules:
            self.f, self.hidden = torch.compiler.disable(self.f), True  # type: ignore[no-untyped-call]
        return self.f(*arguments)
