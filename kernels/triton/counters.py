"""The counters of a window: how many cells and pairs its lists hold, and its status.

Images and volumes share one layout, so that a column has one meaning everywhere.
"""

from __future__ import annotations

import triton.language as tl

from ..status import Status

# Columns of the counters, (N, COUNTERS) int32. SQUARES is 0 for images. PAIRS is the first of one column per dimension
# of V: in dimension 0, minima are paired with edges; in the last one, maxima with edges (images) or squares (volumes).
EDGES, SQUARES, MINIMA, MAXIMA, STATUS, PAIRS = (tl.constexpr(column) for column in range(6))
COUNTERS = tl.constexpr(8)

OK, NAN, LOOPS_LOST = (tl.constexpr(int(status)) for status in Status)
