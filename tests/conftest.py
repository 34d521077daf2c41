"""Fixtures that several test files share, and what happens where a package is missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

# What tests compare with, and what only the training demo needs. A machine with a GPU may have none of it.
OPTIONAL = {
    "PIL",
    "cripser",
    "gudhi",
    "hypothesis",
    "matplotlib",
    "monai",
    "ot",
    "skimage",
    "tifffile",
    "torchmetrics",
    "tqdm",
}


class _ModuleOfTests(pytest.Module):
    """A test file, skipped with a reason where it imports an optional package that is not installed."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return super().collect()
        except self.CollectError as error:
            cause = error.__cause__
            while cause is not None:
                name = getattr(cause, "name", None) or ""
                if isinstance(cause, ModuleNotFoundError) and name.partition(".")[0] in OPTIONAL:
                    pytest.skip(f"{name} is not installed", allow_module_level=True)
                cause = cause.__cause__
            raise


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    return _ModuleOfTests.from_parent(parent, path=module_path)


@pytest.fixture(scope="session")
def roads() -> torch.Tensor:
    """Windows of 64 x 64 of the distance map of Helsinki's roads plus a ramp: (16, 64, 64)."""
    from bench.speed import inputs  # draws with Pillow, which tests without this fixture do not need

    return inputs.roads(16)
