"""Importing the package is fast and loads nothing heavy."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpuph
import gpuph.interop
import gpuph.interop.cripser
import gpuph.interop.gudhi
import gpuph.interop.topoloss
import gpuph.interop.torch_topological
import gpuph.metrics
import gpuph.plot

LIGHT = """
import sys, time, torch
start = time.process_time()  # CPU time, which does not depend on how busy the machine is
import gpuph
seconds = time.process_time() - start
heavy = {"cupy", "matplotlib", "triton", "skimage", "monai", "gudhi"} & set(sys.modules)
assert not heavy, heavy
assert not torch.cuda.is_initialized()
gpuph.persistence(torch.zeros(1, 4, 4))
assert "torch._dynamo" not in sys.modules  # takes a second to import, which only torch.compile should cost
print(seconds)
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


def test_import_is_light() -> None:
    seconds = [
        float(subprocess.run([sys.executable, "-c", LIGHT], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 1.5


INTEROP = (
    *(gpuph.interop, gpuph.interop.cripser, gpuph.interop.gudhi, gpuph.interop.topoloss),
    gpuph.interop.torch_topological,
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
