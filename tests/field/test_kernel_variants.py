"""Kernels are compiled once, whatever the batch and wherever its tensors begin."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from support.processes import python

pytest.importorskip("triton")
pytestmark = [
    pytest.mark.ptx,
    pytest.mark.skipif(not shutil.which("gcc"), reason="ptxrun needs gcc"),
    pytest.mark.skipif(sys.platform != "linux", reason="ptxrun needs Linux"),
]

# Calls on all of a batch, and on the part that begins after one map: not at a multiple of 16 bytes, as maps have an odd
# number of pixels.
CALLS = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import ptxrun.triton, torch, triton, gpuph
from bench.device import counts
from bench.device.workloads import betti_matching

compiled = []
triton.knobs.compilation.listener = lambda **found: compiled.append(found["src"].name)
torch.manual_seed(0)
maps, volumes = torch.rand(5, 1, 9, 7), torch.rand(5, 1, 5, 3, 5)
loss_fn = {4: gpuph.LocalizedPHLoss(window=5, dims=(0, 1)), 5: gpuph.LocalizedPHLoss(window=3, dims=(1, 2))}

def persistence(x):
    gpuph.persistence(x[:, 0])

def differentiated(x):
    sum(d.death.sum() - d.birth.sum() for d in gpuph.persistence(x[:, 0].requires_grad_()).values()).backward()

def distances(x):
    gpuph.truncated_distance_map(x, 3.0)

def loss(x):
    loss_fn[x.dim()](x.detach().requires_grad_(), x).backward()

def betti(x):
    if x.dim() == 4:
        betti_matching(x, x, 5)

with ptxrun.triton.emulated(checks=(), stats=False), counts.as_on_a_device():
    for call in (persistence, differentiated, distances, loss, betti):
        for x in (maps, volumes):
            x = x > 0.5 if call is distances else x
            call(x[:4])
            before = len(compiled)
            assert before
            for part in (x[1:5], x[1:4], x[1:2], x[3:4]):
                call(part)
            print(call.__name__, x.dim(), *compiled[before:])
"""


def test_batches_that_begin_anywhere_compile_no_other_variants() -> None:
    root = Path(__file__).parents[2]  # a process of its own, in which nothing is compiled yet
    run = python("-c", CALLS, root, root / "tests" / "ptxrun", timeout=1800.0)
    assert run.returncode == 0, run.stderr
    calls = ("persistence", "differentiated", "distances", "loss", "betti")
    assert run.stdout.splitlines() == [f"{call} {rank}" for call in calls for rank in (4, 5)]
