"""Codes: a pair as one integer, in the order of births and, among pairs that are born at one pixel, of deaths.

A code is birth index * 2^32 + death index + 1. The death index of an essential class is -1.
"""

from __future__ import annotations

from .runtime.jit import inlined


@inlined
def code_of(birth, death):
    """Return the code of a pair, given by int64 indices."""
    return birth << 32 | death + 1


@inlined
def birth_of(code):
    """Return the birth index of a code."""
    return code >> 32


@inlined
def death_of(code):
    """Return the death index of a code, -1 for an essential class."""
    return (code & 0xFFFFFFFF) - 1
