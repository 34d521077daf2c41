"""Losses that know topology, one file each."""

from .base import Compared, Maps, WindowLoss
from .betti import BettiPriorLoss
from .betti_matching import BettiMatchingLoss
from .cb_dice import CbDiceLoss
from .cl_dice import SoftClDiceLoss
from .connectivity import ConnectivityLoss
from .distance import DistancePHLoss
from .likelihood import LikelihoodPHLoss
from .localized import LocalizedPHLoss
from .morse import MorseSkeletonLoss
from .one_vs_rest import OneVsRest
from .skeleton_recall import SkeletonRecallLoss
from .topo import TopoLoss

__all__ = [
    "BettiMatchingLoss",
    "BettiPriorLoss",
    "CbDiceLoss",
    "Compared",
    "ConnectivityLoss",
    "DistancePHLoss",
    "LikelihoodPHLoss",
    "LocalizedPHLoss",
    "Maps",
    "MorseSkeletonLoss",
    "OneVsRest",
    "SkeletonRecallLoss",
    "SoftClDiceLoss",
    "TopoLoss",
    "WindowLoss",
]
