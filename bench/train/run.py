"""Train the two networks of the demo, and save and resume their training."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from bench.train.crops import WINDOW, Crops
from bench.train.network import PRESETS, Branch, plus
from bench.train.threads import Threads
from gpuph import LocalizedPHLoss, RandomLinear

SAVE_EVERY = 100  # steps
RANK = {"roads": 2, "neurons": 3}  # number of axes
WARM_UP, PLAIN, LOCALIZED = "warm-up", "MSE", "MSE + localized"
# A checkpoint can be resumed only with the same values of these. The number of steps may grow.
SETTINGS = ("data", "preset", "seed", "weight", "slope", "warmup", "rows", "images", "masks", "held_out")


class Run:
    """The networks in training, and everything else that a checkpoint holds.

    Parameters
    ----------
    args : argparse.Namespace
        The arguments of the command line.
    channels : int
        Number of channels of the images.
    """

    def __init__(self, args: argparse.Namespace, channels: int) -> None:
        self.rank = RANK[args.data]
        self.preset = PRESETS[args.preset][self.rank]
        self.args, self.channels, self.device = args, channels, torch.device(args.device)
        self.settings = {name: str(getattr(args, name)) for name in SETTINGS}
        self.step = 0
        torch.manual_seed(args.seed)
        self.branches = {WARM_UP: self.new_branch()}
        self.generator = torch.Generator(self.device).manual_seed(args.seed)
        localized = LocalizedPHLoss(window=WINDOW[self.rank], height=RandomLinear(args.slope), generator=self.generator)
        self.losses = {WARM_UP: mse_loss, PLAIN: mse_loss, LOCALIZED: plus(localized, args.weight)}

    def new_branch(self) -> Branch:
        """Return an untrained network."""
        return Branch(self.rank, self.channels, self.preset, self.device)

    def fork(self) -> None:
        """End the warm-up: both branches continue with the same weights and optimiser state."""
        common = self.branches.pop(WARM_UP)
        self.branches = {PLAIN: common, LOCALIZED: copy.deepcopy(common)}

    def train(self, crops: Crops, checkpoint: Path) -> None:
        """Train to the last step, and save a checkpoint every `SAVE_EVERY` steps and at the end."""
        warmup, last = self.args.warmup, self.args.warmup + self.args.steps
        updates = warmup + 2 * self.args.steps  # both branches, because each update takes time
        done = min(self.step, warmup) + 2 * max(0, self.step - warmup)
        threads = None if self.args.threads is not None or self.device.type != "cpu" else Threads(self.trial(crops))
        with tqdm(total=updates, initial=done, unit="update", dynamic_ncols=True) as bar:
            while self.step < last:
                if self.step == warmup:
                    self.fork()
                images, target = crops.batch(self.step)
                for name, branch in self.branches.items():
                    loss = branch.update(images, target, self.losses[name])
                    bar.update()
                    if threads is not None:
                        threads.after_update()
                    if self.step % 10 == 0:
                        bar.set_description(f"{name}, loss of the batch {float(loss):.2f}")
                self.step += 1
                if self.step % SAVE_EVERY == 0:
                    self.save(checkpoint)
        self.save(checkpoint)

    def trial(self, crops: Crops) -> Callable[[], object]:
        """Return a function that makes an update like those of the training, of a copy of a network."""
        branch = copy.deepcopy(next(iter(self.branches.values())))
        images, target = crops.batch(self.step)
        return lambda: branch.update(images, target)

    def save(self, path: Path) -> None:
        """Save a checkpoint. If saving is interrupted, the previous checkpoint remains."""
        state = {
            "settings": self.settings,
            "step": self.step,
            "branches": {name: branch.state_dict() for name, branch in self.branches.items()},
            "generator": self.generator.get_state(),
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def load(self, path: Path) -> None:
        """Restore a checkpoint.

        Raises
        ------
        ValueError
            If the file is not a checkpoint, or was made with other settings.
        """
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
            raise ValueError(f"{path} was already trained for {self.step - self.args.warmup} steps")
        try:
            self.branches = {name: self.new_branch() for name in state["branches"]}
            for name, branch in self.branches.items():
                branch.load_state_dict(state["branches"][name])
            self.generator.set_state(state["generator"].cpu())
        except Exception as error:
            raise ValueError(f"{path} does not fit the network of these settings") from error
