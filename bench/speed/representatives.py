"""`python -m bench.speed.representatives`: the pixels of all pairs, as multiples of the time of their diagrams.

Windows of 64 x 64 pixels, and volumes of 64^3 voxels without dimension 1, on one thread. Diagrams and representatives
are computed in turn in one process. Before anything is timed, births are compared with the values at the pixels found.
"""

from __future__ import annotations

import argparse
import functools

import torch
from torch import Tensor

import gpuph
from bench.speed import inputs, volume_inputs
from bench.speed.timing import in_turn


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


def multiples(x: Tensor, repeats: int) -> tuple[float, float, float]:
    """Return the microseconds of the diagrams of a window, and as multiples of it those of boundaries and cavities."""
    torch.set_num_threads(1)
    dims = (0, x.dim() - 2)
    diagrams = gpuph.persistence(x, dims)
    runs = {
        "diagrams": functools.partial(gpuph.persistence, x, dims),
        "boundaries": functools.partial(gpuph.representatives, x, diagrams),
        "cavities": functools.partial(gpuph.representatives, x, diagrams, filled=True),
    }
    seconds = in_turn(runs, repeats)
    each = seconds["diagrams"]
    return 1e6 * each / len(x), seconds["boundaries"] / each, seconds["cavities"] / each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=256, help="64 x 64 windows in a batch (default: %(default)s)")
    parser.add_argument("--volumes", type=int, default=2, help="64^3 volumes in a batch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="runs that the median is of (default: %(default)s)")
    options = parser.parse_args()
    print(f"{'':<28}{'us':>10}{'loops':>10}{'cavities':>10}")
    batches = {f"{kind}, 64 x 64": make(options.windows) for kind, make in inputs.KINDS.items()}
    batches |= {f"{kind}, 64^3": make(options.volumes, 64) for kind, make in volume_inputs.KINDS.items()}
    for name, x in batches.items():
        check(x[:1])
        time, boundaries, cavities = multiples(x, options.repeats)
        print(f"{name:<28}{time:>10.1f}{boundaries:>10.2f}{cavities:>10.2f}")


if __name__ == "__main__":
    main()
