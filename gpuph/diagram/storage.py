"""Files and arrays of diagrams."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import checks

File: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
T = TypeVar("T")


def as_array(x: Tensor) -> NDArray[Any]:
    """Return a tensor's values as an array of the CPU; bfloat16, which NumPy does not have, as float32."""
    x = x.detach().cpu()
    return x.float().numpy() if x.dtype == torch.bfloat16 else x.numpy()


def write(file: File, arrays: Arrays) -> None:
    """Write a NumPy archive, without pickle, to a path, which is taken as it is, or to an open file."""
    if hasattr(file, "write"):
        np.savez(file, **arrays)  # type: ignore[arg-type]
        return
    with open(_path(file), "wb") as stream:  # given a path, NumPy would add .npz to it
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read(file: File, make: Callable[[Arrays], T]) -> T:
    """Read a NumPy archive, without pickle, and return what `make` makes of its arrays.

    Raises
    ------
    ValueError
        If the file is not an archive, or `make` raises.
    """
    source = file if hasattr(file, "read") else _path(file)
    expected = f"file must be one that `save` wrote, got {checks.shown(file)}"
    try:
        with np.load(source, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError:
        raise
    except Exception as error:  # a file of another kind can make NumPy raise almost anything, with useless advice
        raise ValueError(expected) from error
    try:
        return make(arrays)
    except Exception as error:  # what is missing or wrong can be any array
        raise ValueError(f"{expected}: {error}") from error


def _path(file: object) -> str | os.PathLike[str]:
    if isinstance(file, (str, os.PathLike)):
        return file
    raise TypeError(f"file must be a path or an open file, got {checks.shown(file)}")
