"""The experiments of "Persistent Homology with Improved Locality Information for more Effective Delineation".

NAME is a figure or a table of the paper, or one of the experiments that ask why its ranking is not reproduced:
`gradients` and `steadiness`, and with tracks that look like roads `decoys`, `few_decoys`, `decoys_gradients` and
`few_decoys_gradients`. `misalignment` asks which losses see an error where roads have moved, and `repair` which losses
mend roads by gradient descent alone. `both_ways` trains where false roads are as common as missed ones, and
`misaligned_training` on labels that have moved. The command writes a JSON file and a figure. Intermediate results are
kept in --work, and an interrupted command continues from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.paper import both_ways, fig3, fig4, gradients, misaligned_training, misalignment, repair, tables
from bench.paper.plan import InputError
from bench.speed.timing import machine
from bench.train.files import SUFFIXES

EXPERIMENTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "fig3": fig3.run,
    "fig4": fig4.run,
    "misalignment": misalignment.run,
    "repair": repair.run,
    "both_ways": both_ways.run,
    "misaligned_training": misaligned_training.run,
    **dict.fromkeys(tables.TABLES, tables.run),
    "gradients": gradients.run,
    "decoys_gradients": gradients.run,
    "few_decoys_gradients": gradients.run,
}
RESULTS = Path(__file__).parents[1] / "results"


def parse(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Parse the command line. Returns the parser too, for errors that show only when the data are read."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("name", choices=EXPERIMENTS, metavar="NAME", help=", ".join(EXPERIMENTS))
    add("--quick", action="store_true", help="a smaller experiment, for a trial")
    add("--seed", type=int, default=0, help="the first seed (default: %(default)s)")
    add("--seeds", type=int, help=f"number of seeds, for tables (default: {tables.SEEDS}, with --quick 1)")
    add("--warmup", type=int, help="steps of the warm-up, for tables (default: the preset's)")
    add("--steps", type=int, help="steps of each method after it, for tables (default: the preset's)")
    add(
        "--minutes",
        type=float,
        help="start nothing after so many minutes, in repair, both_ways and misaligned_training",
    )
    add("--crops", type=int, help=f"number of crops, for repair (default: {repair.CROPS})")
    add("--rows", type=int, help="render only this many rows of roads or neurons, for a trial")
    add("--images", type=Path, metavar="DIR", help=f"run table1 on the images in DIR ({' '.join(SUFFIXES)})")
    add("--masks", type=Path, metavar="DIR", help="masks of the images; lines are the pixels above half the maximum")
    add("--held-out", type=float, default=0.4, metavar="SHARE", help="of --images to score on (default: %(default)s)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ..., for tables (default: %(default)s)")
    add(
        "--out", type=Path, metavar="DIR", help="for JSON and figure (default: bench/results, with --images runs/paper)"
    )
    add(
        "--work",
        type=Path,
        default=Path("runs/paper"),
        metavar="DIR",
        help="for intermediate results (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if (args.images is None) != (args.masks is None):
        parser.error("--images and --masks go together")
    if args.images is not None and args.name != "table1":
        parser.error(f"--images and --masks go with table1, not with {args.name}")
    for name, least in (("seeds", 1), ("warmup", 0), ("steps", 1), ("rows", 1), ("crops", 2)):
        value = getattr(args, name)
        if value is not None and value < least:
            parser.error(f"--{name} must be at least {least}, got {value}")
    if args.out is None:
        args.out = RESULTS if args.images is None else Path("runs/paper")
    return parser, args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the command, and return the contents of the JSON file."""
    parser, args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.name + ("_folder" if args.images is not None else "") + ("_quick" if args.quick else "")
    figure = args.out / f"{stem}.png"
    try:
        found = EXPERIMENTS[args.name](args, figure)
    except InputError as error:
        parser.error(str(error))
    result = {"experiment": args.name, "quick": args.quick} | found | {"machine": machine()}
    path = args.out / f"{stem}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"Wrote {path} and {figure}")
    return result


if __name__ == "__main__":
    main()
