"""Fixtures for the losses."""

from __future__ import annotations

import pytest

from support.graphed import emulate_graphs


@pytest.fixture
def graphs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    emulate_graphs(monkeypatch)
