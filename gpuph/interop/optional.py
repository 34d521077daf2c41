"""Packages that gpuph does not depend on, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any


def required(module: str, user: str, package: str | None = None) -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module : str
        The module, such as "dask.array".
    user : str
        What needs it, for the error.
    package : str, optional
        What pip installs; by default the first part of the module's name.

    Raises
    ------
    ImportError
        If the module cannot be imported. The message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = package or module.partition(".")[0]
        raise ImportError(f"{user} needs {name}: pip install '{name}' ({error})", name=module) from error
