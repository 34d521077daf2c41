"""The command of `bench.paper`, as tests run it and check what it writes."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

import bench.paper.__main__ as command

ROWS = 200  # metres of Helsinki: enough for a crop of the training area


def run(name: str, out: Path, work: Path, *more: object) -> dict:
    """Run an experiment, and return its result."""
    fixed = (name, "--out", out, "--work", work)
    return command.main([str(word) for word in (*fixed, *more)])


def written(out: Path, stem: str, result: dict) -> None:
    """Check that an experiment wrote the result that it returned, and a figure of reasonable size."""
    assert {path.name for path in out.iterdir()} == {f"{stem}.json", f"{stem}.png"}
    assert json.loads((out / f"{stem}.json").read_text()) == json.loads(json.dumps(result))
    with Image.open(out / f"{stem}.png") as figure:
        assert min(figure.size) > 300
    assert (out / f"{stem}.png").stat().st_size < 300_000
    assert {"experiment", "quick", "settings", "machine"} <= set(result)
