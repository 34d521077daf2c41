"""Fixtures that several test files share."""

from __future__ import annotations

import pytest
import torch

from bench import inputs


@pytest.fixture(scope="session")
def roads() -> torch.Tensor:
    """Windows of 64 x 64 of the distance map of Helsinki's roads plus a ramp: (16, 64, 64)."""
    return inputs.roads(16)
