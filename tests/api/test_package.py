"""Importing the package is fast and loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

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


def test_import_is_light() -> None:
    seconds = [
        float(subprocess.run([sys.executable, "-c", LIGHT], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 1.5


def test_public_names_have_docstrings() -> None:
    import gpuph

    assert all(getattr(gpuph, name).__doc__ for name in gpuph.__all__)
