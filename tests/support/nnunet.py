"""`python tests/support/nnunet.py FOLDER`: train nnU-Net with the example's loss, two steps on drawn lines.

Prints the class of the loss, and the loss of the training.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from PIL import Image

from examples import drawn

NAME, CASES = "Dataset001_Lines", 5


def write_images(raw: Path) -> dict[str, object]:
    """Write images and labels, and return what nnU-Net wants to know about them."""
    about = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "road": 1, "river": 2},
        "numTraining": CASES,
        "file_ending": ".png",
    }
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    images, labels = drawn.lines(CASES)
    grey = (255 * images[:, 0].clamp(0, 1)).byte()
    for i in range(CASES):
        Image.fromarray(grey[i].numpy()).save(raw / "imagesTr" / f"case{i}_0000.png")
        Image.fromarray(labels[i, 0].byte().numpy()).save(raw / "labelsTr" / f"case{i}.png")
    (raw / "dataset.json").write_text(json.dumps(about))
    return about


def main(root: Path) -> None:
    # nnU-Net reads these variables when it is imported, so it is imported after they are set.
    os.environ |= {f"nnUNet_{folder}": str(root / folder) for folder in ("raw", "preprocessed", "results")}
    os.environ |= {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "false"}
    from nnunetv2.experiment_planning import plan_and_preprocess_api

    from examples.nnunet_trainer import nnUNetTrainerTopology

    about = write_images(root / "raw" / NAME)
    plan_and_preprocess_api.extract_fingerprints([1], num_processes=1)
    plan_and_preprocess_api.plan_experiments([1])
    plan_and_preprocess_api.preprocess([1], configurations=["2d"], num_processes=[1])
    plans = json.loads((root / "preprocessed" / NAME / "nnUNetPlans.json").read_text())
    trainer = nnUNetTrainerTopology(plans | {"continue_training": False}, "2d", 0, about, device=torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, 2, 1
    trainer.run_training()
    print(type(trainer.loss).__name__, trainer.logger.get_value("train_losses", -1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
