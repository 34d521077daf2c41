"""What a delineation is worth: one file a metric."""

from .betti import betti_error
from .ccq import CCQ, ccq

__all__ = ["CCQ", "betti_error", "ccq"]
