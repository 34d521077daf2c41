"""`python -m bench.speed.dask`: how much a second worker of a dask cluster gains.

Clusters of one worker and of two, each a process with one thread, compute loss maps and diagrams of a Zarr array with
roads in turn, so that other load on the machine affects both alike. The results of both are compared first.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask.array as da
import numpy as np
import torch
import zarr
from distributed import Client, LocalCluster

import gpuph
from bench.speed.timing import in_turn, machine
from bench.train.roads import helsinki
from gpuph.interop.dask import loss_map, persistence

RESULTS = Path(__file__).parents[1] / "results" / "dask.json"
WORKERS = (1, 2)
CHUNK, WINDOW = 512, 64
LOSS = gpuph.DistancePHLoss(window=WINDOW)


def write_maps(folder: Path, side: int) -> tuple[zarr.Array, zarr.Array]:
    """Write the distance map of Helsinki's roads, repeated to side x side, and the same with noise."""
    roads = torch.from_numpy(helsinki()[0].mask)[None, None]
    tile = gpuph.truncated_distance_map(roads, 20.0)[0, 0, :side, :side].numpy()
    target = np.pad(tile, [(0, side - length) for length in tile.shape], mode="wrap")
    pred = target + np.random.default_rng(0).normal(0, 0.5, target.shape).astype(np.float32)
    stored = []
    for name, values in (("pred", pred), ("target", target)):
        array = zarr.open_array(
            folder / f"{name}.zarr", mode="w", shape=values.shape, dtype=values.dtype, chunks=(CHUNK, CHUNK)
        )
        array[...] = values
        stored.append(array)
    return stored[0], stored[1]


def main() -> None:
    """Compare the results, time both clusters, and print what was found, or save it too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096, help="of the array, pixels (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs whose median is taken (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/dask.json")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        pred, target = write_maps(folder, options.side)
        losses = loss_map(LOSS, pred, target).sum()
        loops = persistence(pred, WINDOW, capacity=1200, dims=(1,))[1].count.sum()
        clients = {}
        for workers in WORKERS:
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", local_directory=folder
            )
            clients[workers] = stack.enter_context(Client(stack.enter_context(cluster), set_as_default=False))

        seconds: dict[str, dict[str, float]] = {}
        for name, wanted in (("loss map", losses), ("diagrams", loops)):

            def run(client: Client, wanted: da.Array = wanted) -> float:
                return float(client.compute(wanted).result())

            first, *others = (run(client) for client in clients.values())
            assert all(np.isclose(other, first, rtol=1e-6) for other in others)
            contenders = {str(n): lambda client=client, run=run: run(client) for n, client in clients.items()}
            seconds[name] = in_turn(contenders, options.repeats)
    pixels = options.side**2
    results: dict[str, Any] = {
        "machine": machine(),
        "pixels": pixels,
        "nanoseconds a pixel, by workers": {
            name: {workers: 1e9 * time / pixels for workers, time in times.items()} for name, times in seconds.items()
        },
        "gain of the second worker": {name: times["1"] / times["2"] for name, times in seconds.items()},
    }
    print(json.dumps(results, indent=2))
    if options.save:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
