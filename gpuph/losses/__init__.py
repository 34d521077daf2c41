"""Losses on persistence diagrams, one file each."""

from .distance import DistancePHLoss
from .likelihood import LikelihoodPHLoss
from .localized import LocalizedPHLoss

__all__ = ["DistancePHLoss", "LikelihoodPHLoss", "LocalizedPHLoss"]
