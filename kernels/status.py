"""The status of a window, which says whether its persistence pairs can be relied on."""

from enum import IntEnum


class Status(IntEnum):
    """What a window's status says. Anything but OK makes a loss NaN, and raises where looking costs nothing."""

    OK = 0
    NAN = 1  # the window holds a NaN: it has no pairs
    LOOPS_LOST = 2  # the loops of a volume outgrew their workspace on a device: it has no pairs in dimension 1
