"""`python -m bench.speed.distances`: how long distance maps take on a CPU, in milliseconds a map.

Masks are Helsinki's roads and the hemibrain's neurites, one pixel wide. gpuph, scipy and edt run in turn on one thread,
after their answers have been compared. edt, which is under the LGPL, is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

import gpuph
from bench.speed.inputs import road_mask
from bench.speed.timing import in_turn, machine
from bench.train import neurons

try:
    import edt
except ModuleNotFoundError:
    edt = None

RESULTS = Path(__file__).parents[1] / "results" / "distances.json"
UNBOUNDED = 1e9  # a truncation that no distance reaches


def crops(mask: Tensor, n: int, size: int) -> Tensor:
    """Cut n squares or cubes that hold a True pixel out of a mask: (n, 1, *window)."""
    rng = np.random.default_rng(0)
    found: list[Tensor] = []
    while len(found) < n:
        corner = [int(rng.integers(extent - size + 1)) for extent in mask.shape]
        crop = mask[tuple(slice(start, start + size) for start in corner)]
        if crop.any():  # scipy's distances are wrong without one
            found.append(crop)
    return torch.stack(found)[:, None]


def measure(masks: Tensor, truncation: float, spacing: tuple[float, ...]) -> dict[str, Any]:
    """Time all contenders on the same masks, once their answers agree."""
    images = [~mask[0].numpy() for mask in masks]

    def truncated(transform: Callable[[NDArray[np.bool_]], Any]) -> list[NDArray[np.float32]]:
        return [np.minimum(transform(image).astype(np.float32), np.float32(truncation)) for image in images]

    contenders: dict[str, Callable[[], Any]] = {
        "gpuph": lambda: gpuph.truncated_distance_map(masks, truncation, spacing=spacing),
        "scipy": lambda: truncated(lambda image: distance_transform_edt(image, spacing)),
    }
    if edt is not None:
        contenders["edt"] = lambda: truncated(lambda image: edt.edt(image, anisotropy=spacing, parallel=1))
    found = contenders["gpuph"]()
    for name, run in contenders.items():
        if name != "gpuph":
            np.testing.assert_allclose(found[:, 0], np.stack(run()), rtol=1e-5)
    seconds = in_turn(contenders)
    return {
        "maps": "x".join(map(str, masks.shape[2:])),
        "truncation": truncation,
        "spacing": spacing,
        **{f"{name} ms": round(1e3 * time / len(masks), 3) for name, time in seconds.items()},
        **{f"{name} / gpuph": round(time / seconds["gpuph"], 1) for name, time in seconds.items() if name != "gpuph"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/results/distances.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    roads = road_mask()
    small, large, volumes = crops(roads[0, 0], 256, 64), crops(roads[0, 0], 8, 512), crops(neurons.neurites(), 4, 96)
    rows = []
    for masks, truncation, spacing in (
        (small, 20.0, (1.0, 1.0)),
        (large, 20.0, (1.0, 1.0)),
        (large, 20.0, (2.0, 1.0)),
        (large, UNBOUNDED, (1.0, 1.0)),
        (roads, 20.0, (1.0, 1.0)),
        (roads, UNBOUNDED, (1.0, 1.0)),
        (volumes, 8.0, (1.0, 1.0, 1.0)),
        (volumes, 20.0, (4.0, 1.0, 1.0)),
        (volumes, UNBOUNDED, (1.0, 1.0, 1.0)),
    ):
        rows.append(measure(masks, truncation, spacing))
        print("  ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    about = machine()
    print(json.dumps(about))
    if options.save:
        RESULTS.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
