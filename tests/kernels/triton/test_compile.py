"""Every kernel, with the constants that the launchers use, compiles for every target and spills no registers.

The table of resources records what was compiled. A program that it has not, because a kernel has changed or the version
of Triton is another one, is compiled in the test.
"""

from __future__ import annotations

import pytest

from support.resources import COMMAND, TABLE, TARGETS, compile_for, missing, programs, recorded, resources

pytest.importorskip("triton")
pytestmark = pytest.mark.compile


@pytest.mark.parametrize("target", TARGETS)
def test_no_kernel_spills(target: str) -> None:
    found = {key: of_targets[target] for key, of_targets in recorded().items()} | missing(target)
    for variant, digest in programs():
        registers, _, spilled = found[variant, digest]
        assert registers > 0 and spilled == 0, f"{variant} spills {spilled} bytes of {registers} registers on {target}"


def test_resources_are_recorded_as_they_are() -> None:
    known, compiled = recorded(), set()
    for key, launch in programs().items():
        stage = key[0].partition(" | ")[0]
        if key in known and stage not in compiled:  # one variant of each kernel, and one target after the other
            target = [*TARGETS][len(compiled) % len(TARGETS)]
            assert resources(compile_for(launch, target), target) == known[key][target], key
            compiled.add(stage)


def test_resource_table_lists_every_kernel() -> None:
    if not TABLE.exists():
        pytest.skip("not in a checkout")
    text = TABLE.read_text()
    for variant, _ in programs():
        assert f"| {variant} |" in text, f"out of date: run {COMMAND}"
