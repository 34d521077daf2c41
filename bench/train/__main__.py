"""The main job: train a network to delineate roads, or neurons in 3D, with MSE alone and with the localized loss too.

After a warm-up with MSE that they share, two networks go on from the same weights over the same batches, so that what
differs in the end is what the loss does. Takes a few minutes on two CPU cores.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from bench.train.crops import WINDOW, Crops, distance_map
from bench.train.evaluation import predict, score, table
from bench.train.figure import draw
from bench.train.folder import load_folder
from bench.train.network import PRESETS, Branch, plus
from bench.train.neurons import hemibrain
from bench.train.roads import helsinki
from gpuph import LocalizedPHLoss, RandomLinear

SAVE_EVERY = 100  # steps
RENDERED = {"roads": helsinki, "neurons": hemibrain}  # the last scene is held out
RANK = {"roads": 2, "neurons": 3}
WARM_UP, PLAIN, LOCALIZED = "warm-up", "MSE", "MSE + localized"


class Run:
    """Both branches, and all that a checkpoint holds."""

    def __init__(self, args: argparse.Namespace, channels: int) -> None:
        self.rank = RANK[args.data]
        self.preset = PRESETS[args.preset][self.rank]
        self.args, self.channels, self.device = args, channels, torch.device(args.device)
        self.settings = {name: str(getattr(args, name)) for name in SETTINGS}
        self.step = 0
        torch.manual_seed(args.seed)
        self.branches = {WARM_UP: self.new_branch()}
        self.generator = torch.Generator(self.device).manual_seed(args.seed)
        topology = LocalizedPHLoss(window=WINDOW[self.rank], height=RandomLinear(args.slope), generator=self.generator)
        self.losses = {WARM_UP: mse_loss, PLAIN: mse_loss, LOCALIZED: plus(topology, args.weight)}

    def new_branch(self) -> Branch:
        return Branch(self.rank, self.channels, self.preset, self.device)

    def fork(self) -> None:
        """After the warm-up both branches go on from the same weights and optimiser."""
        common = self.branches.pop(WARM_UP)
        self.branches = {PLAIN: common, LOCALIZED: copy.deepcopy(common)}

    def train(self, crops: Crops, checkpoint: Path) -> None:
        warmup, last = self.args.warmup, self.args.warmup + self.args.steps
        updates = warmup + 2 * self.args.steps  # what takes the time
        done = min(self.step, warmup) + 2 * max(0, self.step - warmup)
        with tqdm(total=updates, initial=done, unit="update", dynamic_ncols=True) as bar:
            while self.step < last:
                if self.step == warmup:
                    self.fork()
                images, target = crops.batch(self.step)
                for name, branch in self.branches.items():
                    loss = branch.update(images, target, self.losses[name])
                    bar.update()
                    if self.step % 10 == 0:
                        bar.set_description(f"{name}, loss of the batch {float(loss):.2f}")
                self.step += 1
                if self.step % SAVE_EVERY == 0:
                    self.save(checkpoint)
        self.save(checkpoint)

    def save(self, path: Path) -> None:
        state = {
            "settings": self.settings,
            "step": self.step,
            "branches": {name: branch.state_dict() for name, branch in self.branches.items()},
            "generator": self.generator.get_state(),
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)  # an interrupted save leaves the old one

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ValueError if the file is not one, or was made with other settings."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except OSError:
            raise
        except Exception as error:  # a file of another kind can make the unpickler raise almost anything
            raise ValueError(f"{path} is not a checkpoint, or is damaged") from error
        if not isinstance(state, dict) or not {"settings", "step", "branches", "generator"} <= state.keys():
            raise ValueError(f"{path} is not a checkpoint of this command")
        settings, self.step = state["settings"], state["step"]
        for name, value in self.settings.items():
            if settings.get(name) != value:
                raise ValueError(f"{path} was made with --{name.replace('_', '-')} {settings.get(name)}, not {value}")
        if self.step > self.args.warmup + self.args.steps:
            raise ValueError(f"{path} was trained for {self.step - self.args.warmup} steps already")
        try:
            self.branches = {name: self.new_branch() for name in state["branches"]}
            for name, branch in self.branches.items():
                branch.load_state_dict(state["branches"][name])
            self.generator.set_state(state["generator"].cpu())
        except Exception as error:
            raise ValueError(f"{path} does not fit the network of these settings") from error


# What a checkpoint can only be resumed with; the number of steps may grow.
SETTINGS = ("data", "preset", "seed", "weight", "slope", "warmup", "rows", "images", "masks", "held_out")


def parse(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        prog="python -m bench.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", choices=RANK, default="roads", help="rendered roads, or in 3D neurons (%(default)s)")
    add("--preset", choices=PRESETS, default="small", help="network and optimiser (%(default)s)")
    add("--images", type=Path, metavar="DIR", help="train on these PNG or TIFF images instead")
    add("--masks", type=Path, metavar="DIR", help="masks of the images; road is what is above half the maximum")
    add("--held-out", type=float, default=0.4, metavar="SHARE", help="of --images, to evaluate on (%(default)s)")
    add("--rows", type=int, help="render only so many rows of the roads or neurons, for a quick try")
    add("--seed", type=int, default=0, help="of rendering, weights, batches and loss (%(default)s)")
    add("--warmup", type=int, help="steps with MSE alone that both networks share (the preset's)")
    add("--steps", type=int, help="steps of each of the two networks after that (the preset's)")
    add("--weight", type=float, help="of the localized loss (the preset's)")
    add("--slope", type=float, default=0.2, help="of its height function, a pixel (%(default)s)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ... (%(default)s)")
    add("--out", type=Path, default=Path("runs/train"), metavar="DIR", help="for what is saved (%(default)s)")
    add("--resume", type=Path, metavar="FILE", help="go on from a checkpoint, with the settings it was made with")
    args = parser.parse_args(argv)
    for name in ("warmup", "steps", "weight"):
        if getattr(args, name) is None:
            setattr(args, name, getattr(PRESETS[args.preset][RANK[args.data]], name))
    if (args.images is None) != (args.masks is None):
        parser.error("--images and --masks go together")
    if args.images is not None and args.data != "roads":
        parser.error("--images are images, not volumes: they go without --data")
    if args.warmup < 0 or args.steps < 1 or not args.weight >= 0:
        parser.error("--warmup and --weight must be at least 0, and --steps at least 1")
    if args.rows is not None and args.rows < 1:
        parser.error("--rows must be at least 1")
    try:
        torch.zeros(1, device=args.device).item()
    except (AssertionError, RuntimeError, NotImplementedError) as error:  # PyTorch has no one error for it
        parser.error(f"--device {args.device} cannot be used: {str(error).split('. ')[0]}")
    return parser, args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the command; returns what it writes as JSON."""
    parser, args = parse(argv)
    started = time.perf_counter()
    try:
        if args.images is not None:
            train_scenes, held_out = load_folder(args.images, args.masks, args.held_out)
        else:
            *train_scenes, last = RENDERED[args.data](args.seed, args.rows)
            held_out = [last]
        run = Run(args, channels=len(held_out[0].image))
        crops = Crops(train_scenes, run.preset.crop, run.preset.batch, args.seed, run.device)
        if args.resume is not None:
            run.load(args.resume)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    args.out.mkdir(parents=True, exist_ok=True)
    print(
        f"{args.warmup} steps with MSE alone, then two networks go on from there over the same {args.steps} batches:\n"
        f"one with MSE, one with MSE + {args.weight} x localized loss"
    )
    run.train(crops, args.out / "checkpoint.pt")

    targets = [distance_map(scene).to(run.device) for scene in held_out]
    images = [torch.from_numpy(scene.image).to(run.device) for scene in held_out]
    networks = {name: branch.averaged(crops) for name, branch in run.branches.items()}
    predictions = {name: [predict(net, image) for image in images] for name, net in networks.items()}
    scores = {name: score(maps, targets, args.seed) for name, maps in predictions.items()}
    result = {
        "settings": run.settings | {"steps": args.steps},
        "held_out": {name: asdict(values) for name, values in scores.items()},
        "seconds": round(time.perf_counter() - started, 1),
        "machine": {"threads": torch.get_num_threads(), "processor": platform.machine(), "torch": torch.__version__},
    }
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    first = {name: maps[0].cpu() for name, maps in predictions.items()}
    draw(args.out / "figure.png", held_out[0].image, targets[0].cpu(), first, args.slope)
    print(table(scores, run.rank))
    print(f"{result['seconds']:.0f} s; figure, numbers and checkpoint are in {args.out}")
    return result


if __name__ == "__main__":
    main()
