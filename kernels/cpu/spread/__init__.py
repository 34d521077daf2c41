"""Spread: from the slopes of births and deaths to all pixels that must move with them; see kernels/README.md."""
