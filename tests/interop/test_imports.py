"""The libraries whose interfaces are offered are not needed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import gpuph.interop

NEEDED = {"gpuph", "numpy", "torch", *sys.stdlib_module_names}
FILES = sorted(Path(gpuph.interop.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_only_packages_that_gpuph_depends_on_are_imported(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add((node.module or "").partition(".")[0])
    assert imported <= NEEDED
