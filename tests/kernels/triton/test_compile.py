"""Every kernel, with the constants that the launchers use, compiles for every target and spills no registers.

The numbers are those of one version of Triton; with any version, the table of resources must name every kernel.
"""

from __future__ import annotations

import pytest

from support.resources import COMMAND, TABLE, TARGETS, compile_for, launches, resources

pytest.importorskip("triton")
pytestmark = pytest.mark.compile


@pytest.mark.parametrize("target", TARGETS)
def test_no_kernel_spills(target: str) -> None:
    for variant, launch in launches().items():
        registers, _, spilled = resources(compile_for(launch, target), target)
        assert registers > 0 and spilled == 0, f"{variant} spills {spilled} bytes of {registers} registers on {target}"


def test_resource_table_lists_every_kernel() -> None:
    if not TABLE.exists():
        pytest.skip("not in a checkout")
    text = TABLE.read_text()
    for variant in launches():
        assert f"| {variant} |" in text, f"out of date: run {COMMAND}"
