"""Losses that know topology, one file each."""

from .betti import BettiPriorLoss
from .connectivity import ConnectivityLoss
from .distance import DistancePHLoss
from .likelihood import LikelihoodPHLoss
from .localized import LocalizedPHLoss
from .morse import MorseSkeletonLoss
from .topo import TopoLoss

__all__ = [
    "BettiPriorLoss",
    "ConnectivityLoss",
    "DistancePHLoss",
    "LikelihoodPHLoss",
    "LocalizedPHLoss",
    "MorseSkeletonLoss",
    "TopoLoss",
]
