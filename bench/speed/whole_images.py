"""`python -m bench.speed.whole_images`: time per pixel of the diagrams of one window, as the window grows.

Images from 64 x 64 to 8192 x 8192 pixels and volumes from 32^3 to 512^3 voxels, of smooth fields and of noise, in all
dimensions, by gpuph, GUDHI (values only) and cripser, in turn in one process, each on one thread. Diagrams are compared
before anything is timed. A contender is left out of sizes that would take it more than a minute, judging by its time
per pixel at the previous size. A series ends where gpuph is left out, or memory would not suffice.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cripser
import numpy as np
import torch
from gudhi.sklearn.cubical_persistence import CubicalPersistence
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

import gpuph
from bench.speed.diagrams import finite_points, sorted_points
from bench.speed.timing import in_turn, machine

RESULTS = Path(__file__).parents[1] / "results" / "whole_images.json"
SIZES = {2: (64, 128, 256, 512, 1024, 2048, 4096, 8192), 3: (32, 64, 128, 256, 512)}
KINDS = ("smooth", "noise")
LONGEST = 60.0  # seconds of one run
BYTES = 60  # of memory per pixel that a run may need: about 40 for noise, and the input in float64
Points = list[NDArray[np.float64]]


def window(kind: str, rank: int, size: int) -> Tensor:
    """Return one window (1, *window) of noise, or of a Gaussian random field that varies over 4 pixels, float32."""
    noise = np.random.default_rng(size).standard_normal((size,) * rank, np.float32)
    return torch.from_numpy(noise if kind == "noise" else gaussian_filter(noise, 4))[None]


def by_gpuph(x: Tensor) -> Points:
    return [diagram.finite().to_gudhi()[0] for diagram in gpuph.persistence(x).values()]


def by_gudhi(x: Tensor) -> Points:
    dims = [*range(x.dim() - 1)]
    (found,) = CubicalPersistence(homology_dimensions=dims, homology_coeff_field=2, n_jobs=1).fit_transform(x.numpy())
    return [points[np.isfinite(points[:, 1])] for points in found]


def by_cripser(x: Tensor) -> Points:
    dims = range(x.dim() - 1)
    bars = cripser.computePH_T(x[0].double().numpy(), maxdim=dims[-1])
    return [finite_points(bars, dim) for dim in dims]


CONTENDERS: dict[str, Callable[[Tensor], Points]] = {"gpuph": by_gpuph, "GUDHI": by_gudhi, "cripser": by_cripser}


def fits(pixels: int) -> bool:
    """Return whether this machine has enough free memory for a window of so many pixels."""
    return BYTES * pixels < os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def measure(kind: str, rank: int, sizes: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Return one row for each size, with the nanoseconds per pixel of each contender that takes less than a minute."""
    rows: list[dict[str, Any]] = []
    per_pixel = dict.fromkeys(CONTENDERS, 0.0)
    for size in sizes:
        pixels = size**rank
        running = {name: run for name, run in CONTENDERS.items() if per_pixel[name] * pixels < LONGEST}
        if not fits(pixels) or "gpuph" not in running:
            break
        x = window(kind, rank, size)
        check([sorted_diagrams(run(x)) for run in running.values()])
        seconds = in_turn({name: _run(run, x) for name, run in running.items()}, repeats if pixels < 2**22 else 1)
        per_pixel |= {name: time / pixels for name, time in seconds.items()}
        times = {name: round(1e9 * time / pixels, 2) for name, time in seconds.items()}
        rows.append({"kind": kind, "axes": rank, "size": size, "nanoseconds a pixel": times})
        shown = "  ".join(f"{name} {time:.1f}" for name, time in times.items())
        print(f"{kind}, {size}^{rank}: nanoseconds a pixel: {shown}", flush=True)
    return rows


def sorted_diagrams(diagrams: Points) -> Points:
    return [sorted_points(points) for points in diagrams]


def check(diagrams: Sequence[Points]) -> None:
    """Raise unless the finite points of all contenders are equal."""
    for others in diagrams[1:]:
        for ours, theirs in zip(diagrams[0], others, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def _run(run: Callable[[Tensor], Points], x: Tensor) -> Callable[[], Points]:
    return lambda: run(x)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the times as a table in Markdown."""
    lines = [f"| window | {' | '.join(CONTENDERS)} |", "|---" * (1 + len(CONTENDERS)) + "|"]
    for row in rows:
        times = row["nanoseconds a pixel"]
        cells = [f"{times[name]:.1f}" if name in times else "" for name in CONTENDERS]
        lines.append(f"| {row['kind']}, {row['size']}^{row['axes']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw the time per pixel against the number of pixels, one panel for images and one for volumes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    from gpuph.plot import canvas

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for rank, (ax, title) in enumerate(zip(panels, ("images", "volumes"), strict=True), 2):
        for kind, style in zip(KINDS, ("-", "--"), strict=True):
            of_kind = [row for row in rows if row["axes"] == rank and row["kind"] == kind]
            for name, colour in zip(CONTENDERS, canvas.COLOURS, strict=True):
                known = [row for row in of_kind if name in row["nanoseconds a pixel"]]
                x = [row["size"] ** rank for row in known]
                y = [row["nanoseconds a pixel"][name] for row in known]
                ax.plot(x, y, style, color=colour, marker="o", markersize=4, label=f"{name}, {kind}")
        ax.set(xscale="log", yscale="log", title=title, xlabel="pixels of the window", ylabel="nanoseconds a pixel")
    panels[0].legend(fontsize="small")
    figure.savefig(file, dpi=100)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--largest", type=int, nargs=2, default=[8192, 512], help="sides of images and volumes (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=5,
        help="runs whose median is taken; one from 2^22 pixels on (default: %(default)s)",
    )
    parser.add_argument("--save", action="store_true", help="write bench/results/whole_images.json, .md and .png")
    options = parser.parse_args()
    torch.set_num_threads(1)
    largest = dict(zip(SIZES, options.largest, strict=True))
    sizes = {rank: [size for size in of_rank if size <= largest[rank]] for rank, of_rank in SIZES.items()}
    rows = [row for rank in SIZES for kind in KINDS for row in measure(kind, rank, sizes[rank], options.repeats)]
    print(table(rows))
    if options.save:
        RESULTS.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(PAGE.format(table=table(rows)))
        draw(rows, RESULTS.with_suffix(".png"))


PAGE = """# Whole images

How does the time per pixel grow with the size of a single window? Nanoseconds per pixel on one thread, all dimensions;
diagrams are compared first. GUDHI returns values only, the others also pixels. Where a cell is empty, a run would have
taken more than a minute; the rows end where gpuph would have. Source: `python -m bench.speed.whole_images --save`,
[whole_images.json](whole_images.json).

![Time per pixel against the number of pixels](whole_images.png)

{table}
"""


if __name__ == "__main__":
    main()
