"""Importing the package loads nothing heavy, and everything public is documented."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import gpuph
import gpuph.interop
import gpuph.interop.cripser
import gpuph.interop.dask
import gpuph.interop.gudhi
import gpuph.interop.topoloss
import gpuph.interop.torch_topological
import gpuph.metrics
import gpuph.plot
from support.processes import complaints, python

LIGHT = """
import sys, torch
before = set(sys.modules)
import gpuph
new = {name.partition(".")[0] for name in set(sys.modules) - before}
heavy = {"numba", "llvmlite", "scipy", "networkx", "cupy", "matplotlib", "triton", "skimage", "monai", "gudhi"} & new
assert not heavy, heavy
assert "gpuph.kernels.cpu" not in sys.modules
assert not torch.cuda.is_initialized()
gpuph.persistence(torch.zeros(1, 4, 4))
assert "torch._dynamo" not in sys.modules  # takes a second to import, which only torch.compile should cost
print(*sorted(new))
"""


def test_all_packages_are_installed() -> None:
    """Editable installs find packages that `pyproject.toml` does not list, and wheels do not."""
    root = Path(__file__).parents[2]
    files = [*root.glob("gpuph/**/__init__.py"), *root.glob("kernels/**/__init__.py")]
    directories = [file.parent.relative_to(root) for file in files]
    packages = {".".join(path.parts if path.parts[0] == "gpuph" else ("gpuph", *path.parts)) for path in directories}
    listed = re.search(r"\npackages = \[(.*?)\]", (root / "pyproject.toml").read_text(), re.DOTALL)
    assert listed is not None
    assert packages == set(re.findall(r'"(.+?)"', listed[1]))


def test_import_loads_nothing_heavy() -> None:
    run = python("-c", LIGHT)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) < 20  # beyond PyTorch and what that imports, little is needed


@pytest.mark.slow
def test_kernels_are_imported_safely_by_several_threads_and_by_one_at_exit() -> None:
    code = """
import threading, time, torch, gpuph
found = []
def call(): found.append(int(gpuph.persistence(torch.zeros(1, 4, 4))[0].count))
threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
for thread in threads: thread.start()
if {join}:
    for thread in threads: thread.join()
    assert found == [1] * 4
"""
    for join in (True, False):
        run = python("-c", code.format(join=join))
        assert run.returncode == 0 and not complaints(run), run.stderr


def test_version_is_that_of_the_citation() -> None:
    citation = (Path(__file__).parents[2] / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [gpuph.__version__]


INTEROP = (
    *(gpuph.interop, gpuph.interop.cripser, gpuph.interop.gudhi, gpuph.interop.topoloss),
    *(gpuph.interop.torch_topological, gpuph.interop.dask),
)


def test_public_names_have_docstrings() -> None:
    assert all(getattr(module, name).__doc__ for module in (gpuph, gpuph.plot, *INTEROP) for name in module.__all__)


SETTINGS = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (gpuph, gpuph.metrics, gpuph.plot, *INTEROP)
    for name in module.__all__
    if "\n    Parameters\n    ---" in (getattr(module, name).__doc__ or "")
}


@pytest.mark.parametrize("name", SETTINGS)
def test_docstrings_name_every_parameter_and_no_other(name: str) -> None:
    (section,) = re.findall(r"Parameters\n-+\n(.*?)(?:\n\n\w+\n--|\Z)", inspect.getdoc(SETTINGS[name]) or "", re.DOTALL)
    headings = [line.partition(" : ")[0] for line in section.splitlines() if not line.startswith(" ")]
    documented = {name.lstrip("*") for heading in headings for name in heading.split(", ")}
    assert documented - {""} == set(inspect.signature(SETTINGS[name]).parameters)
