"""Train a network to delineate roads or neurites, with MSE alone and with MSE plus the localized loss.

After a common warm-up with MSE, two networks continue from the same weights over the same batches, so that they differ
in the loss alone. Training takes a few minutes on two CPU cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.train.crops import Crops, distance_map
from bench.train.evaluation import predict, score, table
from bench.train.figure import draw
from bench.train.files import SUFFIXES
from bench.train.folder import load_folder
from bench.train.network import PRESETS
from bench.train.neurons import hemibrain
from bench.train.roads import helsinki
from bench.train.run import RANK, Run
from bench.train.scenes import Scene


def parse(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Parse the command line. Returns the parser too, for errors that show only when the data are read."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", choices=RANK, default="roads", help="rendered roads (2D) or neurons (3D) (default: %(default)s)")
    add("--preset", choices=PRESETS, default="small", help="network and optimiser (default: %(default)s)")
    add(
        "--images",
        type=Path,
        metavar="DIR",
        help=f"train on the images in DIR instead, or on its volumes with --data neurons ({' '.join(SUFFIXES)})",
    )
    add(
        "--masks",
        type=Path,
        metavar="DIR",
        help="masks of the images: roads are the pixels above half the maximum, and neurites all labels but 0",
    )
    add(
        "--held-out", type=float, default=0.4, metavar="SHARE", help="of --images to evaluate on (default: %(default)s)"
    )
    add("--rows", type=int, help="render only this many rows of the roads or neurons, for a quick trial")
    add("--seed", type=int, default=0, help="of rendering, weights, batches and loss (default: %(default)s)")
    add("--warmup", type=int, help="steps with MSE alone that both networks share (default: the preset's)")
    add("--steps", type=int, help="steps of each network after the warm-up (default: the preset's)")
    add("--weight", type=float, help="of the localized loss (default: the preset's)")
    add("--slope", type=float, default=0.2, help="of the height function, per pixel (default: %(default)s)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    add("--threads", type=int, help="of PyTorch (default: all or one, whichever is faster, as other processes allow)")
    add("--out", type=Path, default=Path("runs/train"), metavar="DIR", help="output directory (default: %(default)s)")
    add("--resume", type=Path, metavar="FILE", help="continue from a checkpoint that was made with the same settings")
    args = parser.parse_args(argv)
    for name in ("warmup", "steps", "weight"):
        if getattr(args, name) is None:
            setattr(args, name, getattr(PRESETS[args.preset][RANK[args.data]], name))
    if (args.images is None) != (args.masks is None):
        parser.error("--images and --masks go together")
    if args.warmup < 0 or args.steps < 1 or not args.weight >= 0:
        parser.error("--warmup and --weight must be at least 0, and --steps at least 1")
    if args.rows is not None and args.rows < 1:
        parser.error("--rows must be at least 1")
    if args.threads is not None and args.threads < 1:
        parser.error("--threads must be at least 1")
    try:
        torch.zeros(1, device=args.device).item()
    except (AssertionError, RuntimeError, NotImplementedError) as error:  # PyTorch has no single error for this
        parser.error(f"--device {args.device} cannot be used: {str(error).split('. ')[0]}")
    return parser, args


def load(args: argparse.Namespace) -> tuple[list[Scene], list[Scene]]:
    """Return the scenes to train on and the scenes held out."""
    if args.images is not None:
        return load_folder(args.images, args.masks, args.held_out, RANK[args.data])
    *training, last = hemibrain(args.seed, args.rows) if args.data == "neurons" else helsinki(args.seed, args.rows)
    return training, [last]


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the command, and return what it writes to result.json."""
    parser, args = parse(argv)
    started = time.perf_counter()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    try:
        training, held_out = load(args)
        run = Run(args, channels=len(held_out[0].image))
        crops = Crops(training, run.preset.crop, run.preset.batch, args.seed, run.device)
        if args.resume is not None:
            run.load(args.resume)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    args.out.mkdir(parents=True, exist_ok=True)
    print(
        f"{args.warmup} steps with MSE alone, then two networks continue over the same {args.steps} batches:\n"
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
    print(f"{result['seconds']:.0f} s; the figure, the numbers and the checkpoint are in {args.out}")
    return result


if __name__ == "__main__":
    main()
