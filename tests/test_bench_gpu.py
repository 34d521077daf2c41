"""`bench.gpu` where there is no GPU: what it says, and its measurements with kernels that run as PTX."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import gpuph
from bench import gpu

pytest.importorskip("triton")


@pytest.fixture
def emulated() -> Iterator[None]:
    """Tensors and kernels for a GPU, on the CPU."""
    if not shutil.which("gcc") or sys.platform != "linux":
        pytest.skip("ptxrun needs Linux and gcc")
    sys.path.insert(0, str(Path(__file__).with_name("ptxrun")))
    import ptxrun.triton

    with ptxrun.triton.emulated(checks=(), stats=False, fake_cuda=True), gpuph.use_kernels("triton"):
        yield


def call(run: Callable[[], object]) -> float:
    """A timer that takes a call to last half a second."""
    run()
    return 0.5


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    run = subprocess.run([sys.executable, "-m", "bench.gpu"], capture_output=True, text=True)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr == "bench.gpu needs a GPU, and PyTorch finds none here.\n"


@pytest.mark.ptx
def test_everything_is_checked_and_timed(emulated: None, capsys: pytest.CaptureFixture[str]) -> None:
    results = gpu.measure((1, 2), {12: (1, 2)}, call, call, gudhi=lambda windows: 1.0, copied=1000)
    assert results["bytes a second"] == 4000.0
    for kind in ("roads", "smooth", "noise", "neurites, 12^3", "noise, 12^3"):
        one, two = results[kind]["rows"]
        assert (one["windows"], two["windows"]) == (1, 2)
        assert two["windows a second"] == 4.0 and two["times faster than gudhi"] == 4.0
        assert two["of the bandwidth limit"] == pytest.approx(2 * one["of the bandwidth limit"], rel=0.1)
    assert [row["windows"] for row in results["loss"]] == [16, 16]
    assert "bit for bit" in capsys.readouterr().out and json.dumps(results)


@pytest.mark.ptx
def test_a_timer_gives_seconds(emulated: None) -> None:
    assert 0.01 < gpu.eager(lambda: time.sleep(0.01)) < 1


@pytest.mark.ptx
def test_wrong_answers_are_found(emulated: None, monkeypatch: pytest.MonkeyPatch, roads: torch.Tensor) -> None:
    from gpuph.kernels import triton

    def wrong(right: Callable[..., tuple]) -> Callable[..., tuple]:
        def answer(*args: object) -> tuple:
            status, index, *rest = right(*args)
            index[0][0, 1, 0] += 1
            return status, index, *rest

        return answer

    gpu.check_pairs(roads[:1])
    monkeypatch.setattr(triton, "persistence", wrong(triton.persistence))
    monkeypatch.setattr(triton, "localized", wrong(triton.localized))
    with pytest.raises(AssertionError, match="index of the construction T: the device's answer differs"):
        gpu.check_pairs(roads[:1])
    volumes = torch.rand(1, 6, 6, 6)
    gpu.check_pairs(volumes)
    monkeypatch.setattr(triton, "persistence3", wrong(triton.persistence3))
    with pytest.raises(AssertionError, match="index of the construction T"):
        gpu.check_pairs(volumes)
    with pytest.raises(AssertionError):
        gpu.check_loss(roads[:1, None], roads[1:2, None])
