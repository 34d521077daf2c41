"""The counters of a window: how many cells and pairs its lists hold, and its status.

Images and volumes share one layout, so that a column has one meaning everywhere. A side is a dimension of V: minima are
paired with critical edges on side 0, and maxima with critical edges (images) or squares (volumes) on the last side.
"""

from __future__ import annotations

import triton.language as tl

from ..status import Status

# Columns of the counters, (N, COUNTERS) int32. SQUARES is 0 for images; PAIRS is the first of one column per side.
EDGES, SQUARES, MINIMA, MAXIMA, STATUS, PAIRS = (tl.constexpr(column) for column in range(6))
COUNTERS = tl.constexpr(8)

OK, NAN, LOOPS_LOST = (tl.constexpr(int(status)) for status in Status)
