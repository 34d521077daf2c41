"""What the launchers share."""

from __future__ import annotations

import triton

# Triton's interpreter takes one program, and one operation, at a time; wide blocks are what makes it fast.
INTERPRETED = triton.knobs.runtime.interpret
