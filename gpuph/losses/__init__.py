"""Losses on persistence diagrams, one file each."""

from .localized import LocalizedPHLoss

__all__ = ["LocalizedPHLoss"]
