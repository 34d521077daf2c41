"""The README's example runs unchanged."""

from __future__ import annotations

import re
from pathlib import Path

import torch

README = Path(__file__).parents[2] / "README.md"


def test_usage_example_runs_unchanged() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 20
    names: dict[str, object] = {}
    exec(compile(example, str(README), "exec"), names)
    assert isinstance(names["loss"], torch.Tensor) and torch.isfinite(names["loss"])
