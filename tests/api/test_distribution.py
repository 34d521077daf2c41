"""What is distributed is complete: tests run from the source distribution, and the wheel works without a checkout."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from support.processes import python

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
FOLDERS = "bench", "docs", "examples", "gpuph", "kernels", "tests"

USE = """
import sys, torch, gpuph, gpuph.kernels.cpu, gpuph.interop.gudhi, gpuph.metrics
assert gpuph.__file__.startswith(sys.argv[1]) and gpuph.kernels.__file__.startswith(sys.argv[1]), gpuph.__file__
loss_fn = gpuph.LocalizedPHLoss(height=None)
print(float(loss_fn(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))), gpuph.__version__)
"""


def printed(code: str, cwd: Path, *words: str, path: str = "") -> str:
    """Run code in its own process, without compiling kernels, and return what it prints."""
    run = python("-c", code, *words, cwd=cwd, PYTHONPATH=path, NUMBA_DISABLE_JIT="1")
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a distribution as pip does, but with the setuptools that is installed."""
    out.mkdir()
    printed(f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})", source)
    (built,) = out.iterdir()
    return built


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts and not path.parts[0].endswith(".egg-info")}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked source distribution. The checkout is copied first, since the build writes beside it."""
    pytest.importorskip("setuptools", "77")
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT, folder / "checkout", ignore=LEFT_OUT)
    with tarfile.open(build("sdist", folder / "checkout", folder / "sdist")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.mark.slow
def test_source_distribution_has_every_file_that_tests_need(source: Path) -> None:
    for name in FOLDERS:
        assert files(source / name) >= files(source.parents[1] / "checkout" / name)
    assert {"constraints.txt", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff"} <= {
        each.name for each in source.iterdir()
    }


@pytest.mark.slow
def test_tests_run_from_the_source_distribution(source: Path) -> None:
    # Kernels would be compiled again, as they are cached by their path, so these tests call none.
    chosen = "tests/api/test_structure.py", "tests/metrics/test_metrics_paths.py", "-k", "not volumes"
    code = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    assert " passed" in printed(code, source, "-p", "no:cacheprovider", "-vq", *chosen, path=str(source))


@pytest.mark.slow
def test_wheel_has_every_module_and_works_outside_of_a_checkout(source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", source, tmp_path / "wheel")) as archive:
        archive.extractall(tmp_path / "installed")
    modules = {each for each in files(tmp_path / "installed") if each.startswith("gpuph/")}
    expected = {f"gpuph/{each}" for each in files(source / "gpuph") if each != "kernels.pyi"}
    expected |= {f"gpuph/kernels/{each}" for each in files(source / "kernels") if each.endswith(".py")}
    assert modules == expected
    (tmp_path / "elsewhere").mkdir()
    installed = str(tmp_path / "installed")
    loss, version = printed(USE, tmp_path / "elsewhere", installed, path=installed).split()
    assert float(loss) == 0 and version in next((tmp_path / "wheel").iterdir()).name
