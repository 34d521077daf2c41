"""What is passed as an argument, validly or not, in the tests of all parameters."""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import torch

import gpuph

HUGE = 2**70


class Nothing:
    """A class whose objects are valid nowhere."""


# Images.

ROAD = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
ROAD[..., 6, :] = True
MAP = ROAD.float()
WINDOW = torch.zeros(1, 4, 4)
PAIR = torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(0))

# Diagrams.

DIAGRAM = gpuph.Diagram.from_list([torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 4.0]])])
DIAGRAMS = gpuph.Diagrams({0: DIAGRAM}, torch.zeros(2, dtype=torch.int32), 1)
ONE = gpuph.persistence(PAIR[0], dims=1)[1]
FOUND = gpuph.representatives(PAIR[0], ONE, dims=1)


def changed(**fields: torch.Tensor) -> gpuph.Diagram:
    """Return the diagram with other fields."""
    return gpuph.Diagram(**{**vars(DIAGRAM), **fields})


# Graphs, in the forms of several libraries.

LINE = nx.Graph([(0, 1)])
nx.set_node_attributes(LINE, {0: (2.0, 3.0), 1: (9.0, 3.0)}, "pos")
CUBE = nx.Graph([(0, 1)])
nx.set_node_attributes(CUBE, {0: (2.0, 3.0, 1.0), 1: (9.0, 3.0, 1.0)}, "pos")
LOOP = nx.MultiGraph([(0, 0)])
nx.set_node_attributes(LOOP, {0: (0.0, 0.0, 0.0)}, "pos")
STREETS = nx.MultiDiGraph([(0, 1), (1, 0)], crs="EPSG:32635")
nx.set_node_attributes(STREETS, {0: {"x": 3.0, "y": 2.0}, 1: {"x": 3.0, "y": 9.0}})
PIXELS = nx.MultiGraph([(0, 1, {"pts": [[1, 1], [1, 2]]})])
nx.set_node_attributes(PIXELS, {0: [1, 1], 1: [1, 2]}, "o")
BRANCH = SimpleNamespace(coordinates=np.eye(2), n_paths=1, path=lambda _: [0, 1], degrees=np.ones(2))


def _tables() -> list[Any]:
    """Return tables of lines, or none if geopandas is not installed."""
    if importlib.util.find_spec("geopandas") is None:
        return []
    import geopandas
    import shapely

    lines = geopandas.GeoSeries([shapely.LineString([(0, 0), (1, 2)])], crs="EPSG:32635")
    return [geopandas.GeoDataFrame(geometry=lines), lines]


TABLES = _tables()

# Files.

FOLDER = Path(tempfile.mkdtemp(prefix="gpuph-test-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
DIAGRAM.save(FOLDER / "one.npz")
DIAGRAMS.save(FOLDER / "all.npz")
(FOLDER / "neuron.swc").write_text("1 1 0 0 0 1 -1\n2 3 0 1 2 1 1\n")
