"""The examples run, and stay short."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from examples import drawn
from support.processes import python

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_example_has_fewer_than_40_lines_of_code_and_is_on_the_page(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < 40
    assert path.stem in ("__init__", "drawn") or f"({path.name})" in (FOLDER / "README.md").read_text()


@pytest.mark.slow
def test_plain_pytorch_learns() -> None:
    from examples import pytorch

    assert pytorch.main()["quality"] > pytorch.main(steps=1)["quality"] + 0.2


def test_monai_trains_and_measures() -> None:
    pytest.importorskip("monai")
    from examples import monai_segmentation

    scores = monai_segmentation.main(steps=2)
    assert 0 <= scores["Dice"] <= 1 and scores["Betti error"] >= 0


@pytest.mark.slow
def test_lightning_trains_and_logs_the_metric() -> None:
    pytest.importorskip("lightning")
    pytest.importorskip("torchmetrics")
    from examples import lightning_module

    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    assert lightning_module.main(**quiet) >= 0


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_loss_of_the_nnunet_trainer_adds_the_finest_resolution_to_the_loss_of_nnunet(deep_supervision: bool) -> None:
    from examples import nnunet_trainer

    _, labels = drawn.lines(2)
    logits = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    coarse, coarse_labels = logits[..., ::2, ::2], labels[..., ::2, ::2].float()  # nnU-Net's labels are floats
    finest = labels.float()
    output, target = ([logits, coarse], [finest, coarse_labels]) if deep_supervision else (logits, finest)

    class OfAll(torch.nn.Module):
        def forward(self, output: object, target: object) -> torch.Tensor:
            return sum(x.square().mean() for x in output) if deep_supervision else output.square().mean()

    with_topology, alone = nnunet_trainer.WithTopology(OfAll(), weight=0.5), OfAll()
    loss = with_topology(output, target)
    expected = alone(output, target) + 0.5 * with_topology.topological(logits, labels)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert logits.grad.isfinite().all() and logits.grad.count_nonzero() > 0


def test_loss_of_nnunet_runs_under_its_autocast() -> None:
    from examples import nnunet_trainer

    enabled = []

    class Alone(torch.nn.Module):
        def forward(self, output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            enabled.append(torch.is_autocast_enabled("cpu"))
            return output.float().mean()

    _, labels = drawn.lines(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nnunet_trainer.WithTopology(Alone())(torch.randn(1, 3, 64, 64).bfloat16(), labels)
    assert enabled == [True]


@pytest.mark.slow
def test_nnunet_trains_with_the_loss(tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2")
    root = FOLDER.parent
    run = python(root / "tests" / "support" / "nnunet.py", tmp_path, timeout=1800.0, PYTHONPATH=str(root))
    assert run.returncode == 0, run.stderr
    kind, loss = run.stdout.split()[-2:]
    assert kind == "WithTopology" and math.isfinite(float(loss))
