"""Fixtures of the benchmarks' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.device import day


@pytest.fixture
def nothing_carried(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty directory instead of this checkout's carried files, and return it."""
    folder = tmp_path_factory.mktemp("carried")
    monkeypatch.setattr(day, "CARRIED", folder)
    return folder
