"""Fixtures for the losses."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from support.graphed import emulate_graphs


@pytest.fixture
def graphs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    emulate_graphs(monkeypatch)


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    """Forget compilations; else, the modules of all tests count as compilations of one function."""
    yield
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()
