"""The experiments of "Persistent Homology with Improved Locality Information for more Effective Delineation".

NAME is a figure or a table of the paper, or one of ours that ask why its ranking is not found here: `gradients` and
`steadiness`, and `decoys` and `few_decoys`, where tracks look like roads, with `decoys_gradients` and
`few_decoys_gradients`. Numbers and a figure are written; what a table has found so far is kept in --work, and the same
command goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.paper import fig3, fig4, gradients, tables
from bench.paper.harness import InputError
from bench.speed.timing import machine

EXPERIMENTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "fig3": fig3.run,
    "fig4": fig4.run,
    **dict.fromkeys(tables.TABLES, tables.run),
    "gradients": gradients.run,
    "decoys_gradients": gradients.run,
    "few_decoys_gradients": gradients.run,
}
RESULTS = Path(__file__).parent.parent / "results"


def parse(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        prog="python -m bench.paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("name", choices=EXPERIMENTS, metavar="NAME", help=", ".join(EXPERIMENTS))
    add("--quick", action="store_true", help="minutes instead of the full experiment")
    add("--seed", type=int, default=0, help="the first one (%(default)s)")
    add("--seeds", type=int, help=f"how many, for tables ({tables.SEEDS}, 1 if --quick)")
    add("--warmup", type=int, help="steps of the common start, for tables (the preset's)")
    add("--steps", type=int, help="steps of each method after it, for tables (the preset's)")
    add("--rows", type=int, help="render only so many rows of roads or neurons, for a quick try")
    add("--images", type=Path, metavar="DIR", help="table1 on these PNG or TIFF images")
    add("--masks", type=Path, metavar="DIR", help="masks of the images; lines are what is above half the maximum")
    add("--held-out", type=float, default=0.4, metavar="SHARE", help="of --images, to score on (%(default)s)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ..., for tables (%(default)s)")
    add("--out", type=Path, metavar="DIR", help="for JSON and figure (bench/results, runs/paper with --images)")
    add("--work", type=Path, default=Path("runs/paper"), metavar="DIR", help="for what goes on (%(default)s)")
    args = parser.parse_args(argv)
    if (args.images is None) != (args.masks is None):
        parser.error("--images and --masks go together")
    if args.images is not None and args.name != "table1":
        parser.error(f"--images and --masks go with table1, not with {args.name}")
    for name, least in (("seeds", 1), ("warmup", 0), ("steps", 1), ("rows", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            parser.error(f"--{name} must be at least {least}, got {value}")
    if args.out is None:
        args.out = RESULTS if args.images is None else Path("runs/paper")
    return parser, args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the command; returns what it writes as JSON."""
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
    print(f"{path} and {figure}")
    return result


if __name__ == "__main__":
    main()
