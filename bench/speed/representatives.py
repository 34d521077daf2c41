"""`python -m bench.speed.representatives`: the pixels of all pairs, as multiples of the time of their diagrams.

Windows of 64 x 64 pixels, and volumes of 64^3 voxels without dimension 1, on one thread. Diagrams and representatives
are computed in turn in one process. Before anything is timed, births are compared with the values at the pixels found.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path

import torch
from torch import Tensor

import gpuph
from bench.speed import inputs, volume_inputs
from bench.speed.timing import in_turn, machine

RESULTS = Path(__file__).parents[1] / "results" / "representatives.json"


def check(x: Tensor) -> None:
    """Raise unless the greatest value on each loop or shell is the birth, and the least in each component too."""
    last = x.dim() - 2
    diagrams = gpuph.persistence(x, (0, last))
    found = gpuph.representatives(x, diagrams)
    for i, window in enumerate(x.flatten(1)):
        for pixels, birth in zip(found[0].to_list()[i], diagrams[0].birth[i], strict=False):
            assert window[pixels].amin() == birth
        for pixels, birth in zip(found[last].to_list()[i], diagrams[last].birth[i], strict=False):
            assert window[pixels].amax() == birth


def multiples(x: Tensor, repeats: int) -> dict[str, float]:
    """Return the microseconds of a window's diagrams, and the time of each kind of representatives as a multiple."""
    torch.set_num_threads(1)
    last = x.dim() - 2
    diagrams = gpuph.persistence(x, (0, last))
    seconds = in_turn(
        {
            "diagrams": functools.partial(gpuph.persistence, x, (0, last)),
            "components": functools.partial(gpuph.representatives, x, diagrams, 0),
            "boundaries": functools.partial(gpuph.representatives, x, diagrams, last),
            "cavities": functools.partial(gpuph.representatives, x, diagrams, last, filled=True),
        },
        repeats,
    )
    each = seconds.pop("diagrams")
    row = {"diagrams us": round(1e6 * each / len(x), 2)}
    return row | {f"{name} / diagrams": round(time / each, 2) for name, time in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=256, help="64 x 64 windows in a batch (default: %(default)s)")
    parser.add_argument("--volumes", type=int, default=2, help="64^3 volumes in a batch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="runs that the median is of (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/representatives.json")
    options = parser.parse_args()
    batches = {f"{kind}, 64 x 64": make(options.windows) for kind, make in inputs.KINDS.items()}
    batches |= {f"{kind}, 64^3": make(options.volumes, 64) for kind, make in volume_inputs.KINDS.items()}
    rows: list[dict[str, float | str]] = []
    for name, x in batches.items():
        check(x[:1])
        rows.append({"windows": name, **multiples(x, options.repeats)})
        print("  ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    if options.save:
        RESULTS.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
