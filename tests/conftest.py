"""Shared fixtures, test IDs, the order of the tests, and skips where an optional package is missing."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # workers compete for the cores, so idle threads of OpenMP should not spin
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import torch

# Packages that tests compare with, and those of the training demo. A machine with a GPU may have none of them.
OPTIONAL = {
    "PIL",
    "cripser",
    "dask",
    "distributed",
    "geopandas",
    "gudhi",
    "hypothesis",
    "matplotlib",
    "monai",
    "nibabel",
    "osmnx",
    "ot",
    "pyproj",
    "rasterio",
    "shapely",
    "skan",
    "skimage",
    "sklearn",
    "sknw",
    "swcgeom",
    "tifffile",
    "torchmetrics",
    "tqdm",
    "zarr",
}

TESTS = Path(__file__).parent
LONG_LANES = ("compile", "interpret", "ptx")  # the longest first


class _TestModule(pytest.Module):
    """A test file that is skipped, with the reason, if it imports an optional package that is not installed."""

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


def pytest_configure(config: pytest.Config) -> None:
    """Set options of pytest-xdist, if it is installed."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    # By default the files with the most tests are run first. But the lanes with the longest tests have few, and one
    # process would wait for another that runs them last.
    config.option.loadscopereorder = False
    # With `--dist loadfile`, the process that replaces a crashed one is given a file whose tests have all been run, and
    # waits for more tests forever. So a crash ends the run.
    if config.option.maxworkerrestart is None:
        config.option.maxworkerrestart = "0"


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    return _TestModule.from_parent(parent, path=module_path)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of ptxrun as part of its lane, and the lanes that take minutes as slow, and start with these."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            _skip_where_missing(item)
        if TESTS / "ptxrun" in item.path.parents:
            item.add_marker("ptx")
        if any(item.get_closest_marker(lane) for lane in LONG_LANES):
            item.add_marker("slow")
    items.sort(key=lambda item: [item.get_closest_marker(lane) is None for lane in LONG_LANES])


def _skip_where_missing(item: pytest.DoctestItem) -> None:
    """Skip an example that imports an optional package that is not installed."""
    for example in item.dtest.examples if item.dtest else ():
        for node in ast.walk(ast.parse(example.source)):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                found = [node.module or ""]
            for package in {name.partition(".")[0] for name in found} & OPTIONAL:
                if importlib.util.find_spec(package) is None:
                    item.add_marker(pytest.mark.skip(reason=f"{package} is not installed"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name cases like `noise-31x64-float32-T`, so that a failure names its case."""
    if isinstance(val, torch.dtype):
        return str(val).removeprefix("torch.")
    if isinstance(val, bool):
        return "VT"[val] if argname == "top" else argname if val else f"no_{argname}"
    if isinstance(val, int) and not isinstance(val, IntEnum):
        return f"{argname}{val}"
    if isinstance(val, type) or (inspect.isfunction(val) and val.__name__ != "<lambda>"):
        return val.__name__
    if isinstance(val, tuple) and val:
        if argname in ("dims", "manifolds"):
            return argname + "".join(map(str, val))
        parts = [part if isinstance(part, str) else pytest_make_parametrize_id(part, "") for part in val]
        if None not in parts:
            return ("x" if all(isinstance(part, int) for part in val) else "-").join(parts)
    if isinstance(val, (dict, list, tuple, slice, float)) and len(str(val)) < 40:
        return str(val)
    return None


@pytest.fixture(scope="session")
def roads() -> torch.Tensor:
    """Return windows (16, 64, 64) of the distance map of Helsinki's roads plus a ramp."""
    from bench.speed import inputs  # needs Pillow, which tests without this fixture do not

    return inputs.roads(16)
