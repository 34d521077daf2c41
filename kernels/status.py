"""The status of a window, which says whether its persistence pairs are complete."""

from enum import IntEnum


class Status(IntEnum):
    """Status of a window. Any but OK makes a loss NaN, and raises an error if reading the status is free."""

    OK = 0
    NAN = 1  # the window contains a NaN: it has no pairs
    LOOPS_LOST = 2  # the loops of a volume exceeded their workspace on a GPU: it has no pairs in dimension 1
