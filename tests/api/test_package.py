"""What importing the package does, and does not do."""

from __future__ import annotations

import subprocess
import sys

LIGHT = """
import sys, time, torch
start = time.process_time()  # of the CPU: on a busy machine, an import waits for its turn
import gpuph
seconds = time.process_time() - start
heavy = {"cupy", "matplotlib", "triton", "skimage", "monai", "gudhi"} & set(sys.modules)
assert not heavy, heavy
assert not torch.cuda.is_initialized()
gpuph.persistence(torch.zeros(1, 4, 4))
assert "torch._dynamo" not in sys.modules  # a second more, for those who compile nothing
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
