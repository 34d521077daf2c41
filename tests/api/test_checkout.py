"""A checkout works without installation, and its GPU tests are collected where optional packages are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.processes import python

ROOT = Path(__file__).parents[2]

NOT_INSTALLED = f"""
import sys
sys.meta_path = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
sys.path.insert(0, {str(ROOT)!r})
import gpuph, gpuph.kernels.cpu
print(gpuph.__file__, gpuph.kernels.__file__)
"""

WITHOUT_PACKAGES = """
import sys
import pytest

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"cripser", "gudhi", "hypothesis", "matplotlib", "monai", "ot"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
sys.exit(pytest.main(["-p", "no:hypothesispytest", "-p", "no:cacheprovider", "-rs", *sys.argv[1:]]))
"""


def printed(code: str, cwd: Path, *words: str) -> str:
    """Run code in its own process and return what it prints."""
    run = python("-c", code, *words, cwd=cwd)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
def test_checkout_needs_no_installation(tmp_path: Path) -> None:
    package, kernels = printed(NOT_INSTALLED, tmp_path).split()
    assert Path(package).parents[1] == Path(kernels).parents[1] == ROOT


@pytest.mark.slow
def test_gpu_tests_are_collected_without_optional_packages() -> None:
    lines = printed(WITHOUT_PACKAGES, ROOT, "tests", "--collect-only", "-m", "gpu").splitlines()
    collected = {line.partition("::")[0] for line in lines if "::" in line}
    assert collected == {"tests/kernels/triton/test_gpu.py"}
    for package in ("gudhi", "monai"):
        assert any(line.endswith(f"{package} is not installed") for line in lines), package
