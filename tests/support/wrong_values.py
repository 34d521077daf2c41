"""Valid and invalid values for each kind of parameter."""

from __future__ import annotations

import atexit
import importlib.util
import io
import math
import shutil
import tempfile
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch.nn.functional import mse_loss

import gpuph

HUGE = 2**70
ROAD = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
ROAD[..., 6, :] = True
MAP = ROAD.float()
WINDOW = torch.zeros(1, 4, 4)
PAIR = torch.rand(2, 1, 8, 9)
LINE = nx.Graph([(0, 1)])
nx.set_node_attributes(LINE, {0: (2.0, 3.0), 1: (9.0, 3.0)}, "pos")
DIAGRAM = gpuph.Diagram.from_list([torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 4.0]])])


def changed(**fields: torch.Tensor) -> gpuph.Diagram:
    return gpuph.Diagram(**{**vars(DIAGRAM), **fields})


FOLDER = Path(tempfile.mkdtemp(prefix="gpuph-test-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
DIAGRAMS = gpuph.Diagrams({0: DIAGRAM}, torch.zeros(2, dtype=torch.int32), 1)
ONE = gpuph.persistence(PAIR[0], dims=1)[1]
FOUND = gpuph.representatives(PAIR[0], ONE, dims=1)
DIAGRAM.save(FOLDER / "one.npz")
(FOLDER / "neuron.swc").write_text("1 1 0 0 0 1 -1\n2 3 0 1 2 1 1\n")
STREETS = nx.MultiDiGraph([(0, 1), (1, 0)], crs="EPSG:32635")
nx.set_node_attributes(STREETS, {0: {"x": 3.0, "y": 2.0}, 1: {"x": 3.0, "y": 9.0}})
PIXELS = nx.MultiGraph([(0, 1, {"pts": [[1, 1], [1, 2]]})])
nx.set_node_attributes(PIXELS, {0: [1, 1], 1: [1, 2]}, "o")
BRANCH = SimpleNamespace(coordinates=np.eye(2), n_paths=1, path=lambda _: [0, 1], degrees=np.ones(2))
CUBE = nx.Graph([(0, 1)])
nx.set_node_attributes(CUBE, {0: (2.0, 3.0, 1.0), 1: (9.0, 3.0, 1.0)}, "pos")
LOOP = nx.MultiGraph([(0, 0)])
nx.set_node_attributes(LOOP, {0: (0.0, 0.0, 0.0)}, "pos")


def table() -> list[Any]:
    """Return a table of lines, where geopandas is installed."""
    if importlib.util.find_spec("geopandas") is None:
        return []
    import geopandas
    import shapely

    lines = geopandas.GeoSeries([shapely.LineString([(0, 0), (1, 2)])], crs="EPSG:32635")
    return [geopandas.GeoDataFrame(geometry=lines), lines]


DIAGRAMS.save(FOLDER / "all.npz")


class Nothing:
    pass


# Objects that are not numbers, bools, sequences, mappings or strings.
OBJECTS: list[Any] = [Nothing(), Nothing, print, 1j, Decimal(1), torch.float32]
STRINGS: list[Any] = ["", "1", "no", b"", b"ab", bytearray(b"ab"), memoryview(b"ab"), np.str_("1")]
BOOLS: list[Any] = [True, False, np.True_, np.array(True), torch.tensor(True)]
SEQUENCES: list[Any] = [[], [1], (1.0,), {1}, {1: 1.0}, np.ones(1), torch.ones(1), torch.ones(2, dtype=torch.int64)]
NOT_FINITE: list[Any] = [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(math.nan), 10**400]
NOT_NUMBERS = OBJECTS + STRINGS + BOOLS + SEQUENCES + [None]
NOT_WHOLE: list[Any] = [1.5, 3.0, np.float64(3.0), Fraction(7, 2), torch.tensor(3.0), *NOT_FINITE[:5]]

# Valid values of each kind of parameter. The first one is passed for a parameter without a default.
RIGHT: dict[str, list[Any]] = {
    "bool": [True, False, np.True_, np.array(False)],
    "int from 0": [0, 3, np.int64(2), np.array(2), torch.tensor(2)],
    "int from 1": [1, 3, np.uint8(2)],
    "int from 1 or None": [None, 1, 3, np.uint8(2), torch.tensor(2)],
    "int from 2 or None": [None, 2, np.int32(7)],
    "axes": [2, 3, np.int64(2)],
    "draws": [1, 2, np.int64(4), torch.tensor(6)],
    "slope": [0.5, 3, np.float16(2.0), (0.1, 0.2), [1, 2], np.array([0.5, 0.5])],
    "dimension": [1, 0, np.int64(1)],
    "dimension of any rank": [1, 0, 2],
    "seed": [0, np.int64(3), 2**63],
    "number": [0.5, -3, np.float32(2.0), np.array(1.0), torch.tensor(1), Fraction(1, 2)],
    "number from 0": [0.5, 0, np.float32(2.0), np.array(1.0), torch.tensor(1)],
    "number from 0 or None": [None, 0.5, 0],
    "number above 0": [0.5, 3, np.float16(2.0), np.int64(1), torch.tensor(1.0)],
    "number above 0 or None": [None, 0.5, 3],
    "threshold or None": [None],
    "vector": [(1.0, 2.0), [1, 2], np.ones(2), torch.ones(2), range(2)],
    "vector or None": [None, (1.0, 2.0), np.ones(2)],
    "spacing": [1.0, 2, (1.0, 2.0), np.array([1.0, 4.0]), np.float32(2.0)],
    "spacing of any rank": [1.0, 2, (1.0, 2.0), np.array([1.0, 4.0]), np.float32(2.0)],
    "sizes from 2": [8, (8, 9), [8, 9], np.int64(8), np.array([8, 9]), torch.Size((8, 9))],
    "sizes from 2 or None": [None, 8, (8, 9)],
    "sizes from 1 or None": [None, 1, (8, 1), np.int64(8)],
    "dims or one": [None, (0,), [1, 0], {0, 1}, range(2), np.array([0, 1]), torch.tensor([1]), 0, 1, np.int64(1)],
    "dims or weights": [(0,), [1, 0], {0: 0.5}, {1: 1, 0: np.float32(2.0)}, np.array([0, 1]), {np.int64(1): 0}],
    "Betti numbers": [{0: 1}, {0: 1, 1: 0}, {np.int64(1): np.int64(2)}],
    "weights or None": [None, {}, {0: 2.0}, {np.int64(0): np.float32(1.0)}],
    "manifolds": [(1,), [1], (np.int64(1),), range(1, 2)],
    "construction": ["T", "V", np.str_("T")],
    "unmatched": ["half_squared", "distance"],
    "reduction": ["mean", "sum", "image", "none"],
    "comparison": ["union", "intersection"],
    "spread": ["pixel", "path"],
    "draw_from": ["target", "both"],
    "average": ["micro", "macro"],
    "angle": [45.0, 90, np.float32(1.0)],
    "False": [False, np.bool_(False)],
    "pixel": ["birth", "death"],
    "place": [0.0, 0.5, 3, np.float32(2.0), (0.1, 0.0), [1, 2], np.array([0.5, 0.5]), torch.tensor(1.0)],
    "place without pixels": [0.0, 0, np.float32(0.0), (0.0, 0.0), torch.tensor(0)],
    "solver": ["auto", "augment", "auction"],
    "kernels": ["auto", "cpu"],
    "height or None": [None, gpuph.Linear((1.0, 2.0)), gpuph.RandomLinear(), gpuph.Radial(1.0)],
    "generator or None": [None, torch.Generator()],
    "callable or None": [None, partial(mse_loss, reduction="none")],
    "windows": [
        *(torch.rand(1, 8, 9), torch.rand(2, 3, 4, 5), torch.rand(1, 8, 9).half(), WINDOW.int(), WINDOW.bool()),
        *(WINDOW[0], [[0.0]], [[[1, 2]]], (WINDOW[0], WINDOW[0]), np.zeros((1, 4, 4)), np.zeros((1, 4, 4), ">u2")),
    ],
    "windows like others": [PAIR[0], PAIR[1].double(), PAIR[0].half(), PAIR[1].numpy(), PAIR[0].tolist()],
    "map": [MAP, MAP.double(), MAP.half()],
    "mask or map": [MAP, MAP.double(), MAP.half(), ROAD, MAP.byte(), MAP.long()],
    "loss": [gpuph.TopoLoss(), gpuph.LikelihoodPHLoss(), gpuph.MorseSkeletonLoss()],
    "class weights or None": [None, 0.5, 0, np.float32(2.0), torch.tensor(1), [1.0], (2,), np.ones(1), torch.ones(1)],
    "label or None": [None, 255, -1, 0, np.int64(3), torch.tensor(7)],
    "mask": [ROAD],
    "mask or graph": [ROAD, ROAD.int(), 255 * ROAD.byte(), MAP, 0.7 * MAP.half(), ROAD.numpy(), ROAD.tolist()],
    "region or None": [None, ROAD, ROAD[0, 0]],
    "region of a metric or None": [None, ROAD, ROAD[0, 0], ROAD.numpy()],
    "graph": [LINE, nx.MultiGraph(LINE)],
    "graph of osmnx": [STREETS, nx.MultiGraph(STREETS)],
    "graph of sknw": [PIXELS, nx.Graph(PIXELS)],
    "skeleton of skan": [BRANCH],
    "frame": table(),
    "tree": [CUBE, nx.MultiGraph(CUBE)],
    "transform or None": [
        *(None, (2.0, 0, 0, 0, -2.0, 5), [1, 2, 3, 4, 5, 6], np.arange(6.0), torch.arange(6.0)),
        SimpleNamespace(a=1.0, b=0.0, c=5.0, d=0.0, e=-1.0, f=7.0),
    ],
    "crs or None": [None, *(["EPSG:32635", 32635] if table() else [])],
    "meet": ["vertices", "ends"],
    "spacing of a volume": [1.0, 2, (1.0, 2.0, 0.5), np.array([1.0, 4.0, 1.0]), np.float32(2.0)],
    "origin or None": [None, (0.0, -1.0, 2), [1, 2, 3], np.zeros(3)],
    "axes of a volume": ["zyx", "xyz", np.str_("yzx")],
    "file to read": [FOLDER / "neuron.swc", str(FOLDER / "neuron.swc")],
    "path to write": [FOLDER / "new.swc", str(FOLDER / "new.swc")],
    "image": [ROAD[0, 0], ROAD[0, 0].numpy()],
    "shape": [(12, 12), [12, 12], torch.Size((12, 12)), (np.int64(12), 0)],
    "tensor": [DIAGRAM.birth],
    "diagram": [DIAGRAM, changed(count=torch.tensor([1, 7]))],
    "diagrams": [{0: DIAGRAM}],
    "diagrams of a batch": [DIAGRAMS],
    "matchings": [{0: gpuph.match(DIAGRAM, DIAGRAM)}, {}],
    "points": [[torch.zeros(3, 2)], (torch.zeros(0, 2), torch.zeros(1, 2)), torch.zeros(2, 3, 2), []],
    "index": [
        *(slice(1), slice(None), [0], [True, False], torch.tensor([True, False]), np.array([1, 0]), 0, -1, 1),
        *(np.int64(0), torch.tensor(0)),
    ],
    "diagrams of one window": [ONE, DIAGRAMS.select(0)],
    "diagram of one window": [ONE],
    "matching of one window": [gpuph.match(ONE, ONE)],
    "two strings": [("a", "b"), ["a", "b"]],
    "strings or None": [None, ["red"], ("#000000", "blue")],
    "picture": [PAIR[0], PAIR[0, 0], PAIR[0].numpy(), PAIR[0].tolist(), PAIR[:1, 0].half()],
    "representatives": [FOUND],
    "columns or None": [None, [], [0], (0,), np.array([0]), torch.tensor([0])],
    "window of one or None": [None, 0, np.int64(0), torch.tensor(0)],
    "axes of a picture or None": [None],
    "numbers of a diagram": [DIAGRAM, changed(count=torch.tensor([1, 7]))],
    "order or norm": [1, 2, 2.0, np.float32(1.0), np.int64(2)],
    "grid": [[0.0, 1.0], (1, 2), np.arange(3), torch.arange(2.0), range(4), [0]],
    "range": [(0.0, 1.0), [0, 1], np.array([0.0, 2.0]), (1.0, 0.0)],
    "sizes from 1": [8, (8, 9), np.int64(8)],
    "weight or None": [None, lambda birth, persistence: birth * persistence],
    "list of a diagram": [[DIAGRAM], (DIAGRAM, DIAGRAM)],
    "list of diagrams": [[DIAGRAMS], (DIAGRAMS, DIAGRAMS)],
    "device or dtype": ["cpu", torch.device("cpu"), torch.float64, torch.float16],
    "file to write": [FOLDER / "new.npz", str(FOLDER / "new"), io.BytesIO()],
    "file of a diagram": [FOLDER / "one.npz", str(FOLDER / "one.npz")],
    "file of diagrams": [FOLDER / "all.npz", str(FOLDER / "all.npz")],
}

# Invalid values of each kind of parameter.
WRONG_DIMS: list[Any] = [
    *(0, 1, 1.0, HUGE, math.nan, (), [], (3,), (-1,), (HUGE,), (0, 0), (1.0,), (0.5,), (True,), ("1",), (None,)),
    *([[0]], (b"1",), np.array([0.0]), np.array([[0], [1]]), torch.tensor([1.0]), torch.tensor(1)),
]
WRONG_MAPS: list[Any] = [
    *(None, 1, 1.0, "map", b"map", True, [[0.0]], Nothing(), MAP.numpy(), ROAD, MAP.int(), MAP.to(torch.complex64)),
    *(MAP[0], MAP[0, 0], MAP[None, None], MAP.expand(1, 3, 12, 12), MAP[..., :0], MAP.to_sparse(), MAP * math.nan),
]
WRONG_TARGETS = [value for value in WRONG_MAPS if value is not ROAD and getattr(value, "dtype", 0) != torch.int32]
WRONG_MASKS: list[Any] = [None, 1, "mask", True, [[True]], Nothing(), MAP, ROAD.int(), ROAD[0, 0, 0], ROAD.numpy()]
WRONG_REGIONS: list[Any] = [
    *(1, "mask", True, [[True]], Nothing(), MAP, ROAD.int(), ROAD.numpy(), ROAD[..., :5], ROAD.expand(3, 1, 12, 12)),
    *(ROAD.expand(1, 3, 12, 12), ROAD.to("meta"), ROAD[None, None]),
]
NOT_CHOICES: list[Any] = [
    None,
    0,
    True,
    1.5,
    "",
    "x",
    "t",
    "Auto",
    b"T",
    ["T"],
    ("mean",),
    {"T"},
    *OBJECTS,
    np.array("T"),
]
WRONG_PLACES: list[Any] = [
    *(-1, -0.1, 1e31, (), (0.1, -0.1), (0.1, math.nan), (0.1, 1e31), ("a", 0.1), (True, 1.0), {0.1, 0.2}),
    *({0.1: 0.2}, None, *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
]
NOT_BOOLS: list[Any] = [0, 1, 1.0, np.int64(1), torch.tensor(1), None, *OBJECTS, *STRINGS, *SEQUENCES]
WRONG: dict[str, list[Any]] = {
    "bool": NOT_BOOLS,
    "False": NOT_BOOLS,
    "int from 0": [-1, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "int from 1": [0, -1, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "int from 2": [1, 0, -1, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "axes": [0, -1, 4, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "draws": [0, -1, 3, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "slope": [
        *(0, -0.1, (), (0.1,), (0.2, 0.1), (0.0, 0.1), (0.1, 0.2, 0.3), (0.1, math.nan), ("a", 0.1), (True, 1.0)),
        *({0.1, 0.2}, {0.1: 0.2}, None, *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "dimension": [-1, 2, 3, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "dimension of any rank": [-1, 3, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "seed": [-1, HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "number": [*NOT_FINITE, *NOT_NUMBERS],
    "number from 0": [-1, -0.1, np.float32(-1), *NOT_FINITE, *NOT_NUMBERS],
    "number above 0": [0, 0.0, -0.1, torch.tensor(0.0), *NOT_FINITE, *NOT_NUMBERS],
    "angle": [0, 90.5, 180, -45.0, *NOT_FINITE, *NOT_NUMBERS],
    "vector": [
        *(1, 0.5, math.nan, (), (math.nan, 0.0), (0.0, math.inf), ("a",), (True, 1.0), (None,), [[1.0]], None),
        *({1.0, 2.0}, {1.0: 2.0}, 10**400, (10**400, 1), np.ones((2, 2)), np.array("a"), *OBJECTS, *STRINGS, *BOOLS),
    ],
    "spacing": [
        *(0, -1.0, (1.0,), (1.0, 2.0, 3.0), (1.0, 0.0), (1.0, -1.0), (1.0, math.nan), (), ("a", 1.0), (True, 1.0)),
        *({1.0, 2.0}, {1: 1.0, 2: 1.0}, None, *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "spacing of any rank": [
        *(0, -1.0, (1.0, 0.0), (1.0, -1.0), (1.0, math.nan), (), ("a", 1.0), (True, 1.0), {1.0, 2.0}, {1: 1.0, 2: 1.0}),
        *(None, *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "sizes from 2": [
        *(0, 1, -1, 1.5, HUGE, (), (8, 0), (8, -1), (8, 1.5), (8, "a"), (8, True), (8, None), (8, HUGE), ((8, 8),)),
        *({8, 9}, {8: 9}, np.array([8.0, 8.0]), np.array([[8]]), None, *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "sizes from 1": [
        *(0, -1, 1.5, HUGE, (), (8, 0), (8, 1.5), (8, "a"), (8, True), (8, HUGE), {8, 9}, {8: 9}),
        *(*NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "dims or one": [2, -1, {0: 1.0}, {}, *WRONG_DIMS[2:], *OBJECTS, *STRINGS, *BOOLS],
    "dims or weights": [
        *({}, {3: 1.0}, {0: -1.0}, {0: math.nan}, {0: "a"}, {0: None}, {0: True}, {True: 1.0}, {1.0: 1.0}, {"0": 1.0}),
        *({None: 1.0}, None, *WRONG_DIMS, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "Betti numbers": [
        *({}, {3: 1}, {-1: 1}, {0: -1}, {0: 1.5}, {0: "1"}, {0: True}, {0: None}, {0: HUGE}, {True: 1}, {1.0: 1}),
        *({"0": 1}, [1, 0], (1,), 1, None, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "weights": [
        *({1: 1.0}, {0: -1.0}, {0: math.nan}, {0: math.inf}, {0: "a"}, {0: None}, {0: True}, {"0": 1.0}, {False: 1.0}),
        *({0.0: 1.0}, [(0, 1.0)], [], 0, 1.0, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "manifolds": [
        *(1, 1.0, (), (0,), (3,), (1, 1), (1.0,), (True,), ("1",), (None,), {1}, {1: 1.0}, None),
        *(*OBJECTS, *STRINGS, *BOOLS),
    ],
    "place": WRONG_PLACES,
    "place without pixels": WRONG_PLACES,
    **dict.fromkeys(
        (
            *("pixel", "construction", "unmatched", "reduction", "comparison", "spread", "solver", "kernels"),
            *("draw_from", "average"),
        ),
        NOT_CHOICES,
    ),
    "height": [0.2, 1, "linear", b"linear", True, [1.0], gpuph.Linear, lambda *_: MAP, torch.zeros(2), Nothing()],
    "generator": [0, 1.5, "cpu", True, [0], Nothing(), np.random.default_rng(), torch.Generator],
    "callable": ["bce", b"bce", 1, 0.5, True, ["mse"], {}, Nothing(), torch.zeros(1)],
    "windows": [
        *(None, 1, "x", b"x", True, Nothing(), [[0.0], [0.0, 1.0]], [["a"]], [[None]], {0: 1.0}, {1.0}, [], [0.0]),
        *(WINDOW[0, 0, 0], WINDOW[None, None], WINDOW[:, :0], WINDOW * math.nan, WINDOW.to_sparse()),
        *(WINDOW.to(torch.complex64), torch.zeros(1, 1, 1).expand(1, 2**16, 2**16), [WINDOW, WINDOW[0]]),
        *(np.zeros((1, 4, 4), complex), np.zeros((1, 4, 4), object), np.zeros((1, 4, 4), "M8[s]"), np.array([["a"]])),
        *(torch.full((1, 4, 4), 2**53 + 1), np.full((1, 4, 4), 2**64 - 1, np.uint64), [[2**53 + 1, 0.5]], [[2**70]]),
    ],
    "windows like others": [None, 1, "x", True, Nothing(), [[0.0]], WINDOW[0], WINDOW, PAIR[0] * math.nan, [["a"]]],
    "map": WRONG_MAPS,
    "mask or map": [*WRONG_TARGETS, 255 * MAP.byte(), -MAP.long(), ROAD[0], ROAD.to_sparse(), MAP.to(torch.uint16)],
    "loss": [
        *(None, 1, "topo", b"topo", True, [gpuph.TopoLoss()], MAP, gpuph.TopoLoss, torch.nn.MSELoss(), mse_loss),
        *(gpuph.OneVsRest(gpuph.TopoLoss()), gpuph.TopoLoss(reduction="sum"), gpuph.TopoLoss(reduction="none")),
    ],
    "class weights": [
        *(-1, -0.1, (), (-1.0,), (math.nan,), (math.inf,), (10**400,), ("a",), (True,), (None,), [[1.0]], {1.0}),
        *({0: 1.0}, np.ones((1, 1)), np.array("a"), *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "label": [HUGE, -HUGE, *NOT_WHOLE, *NOT_NUMBERS],
    "region": WRONG_REGIONS,
    "region of a metric": [x for x in WRONG_REGIONS if not isinstance(x, np.ndarray)] + [ROAD.numpy()[..., :5]],
    "mask": [*WRONG_MASKS, ROAD[0], ROAD[0, 0], ROAD.expand(1, 2, 12, 12), ROAD[None, None]],
    "mask or graph": [
        *(None, 1, "mask", True, [[True]], Nothing(), 2 * MAP, -MAP, MAP * math.nan, MAP.to_sparse()),
        *(
            ROAD[0, 0, 0],
            MAP.to(torch.complex64),
            np.full((1, 1, 12, 12), "a"),
            ROAD[..., :0],
            ROAD.expand(1, 2, 12, 12),
            ROAD.expand(2, 2, 12, 12),
        ),
    ],
    "graph": [None, 1, "graph", [(0, 1)], ROAD, nx.DiGraph(), {0: (1.0, 2.0)}, Nothing()],
    **{
        f"graph of {library}": [None, 1, "graph", [(0, 1)], ROAD, {0: (1.0, 2.0)}, Nothing(), nx.path_graph(2)]
        for library in ("osmnx", "sknw")
    },
    "skeleton of skan": [None, 1, "skeleton", [(0, 1)], ROAD, LINE, Nothing()],
    "frame": [None, 1, "frame", [(0, 1)], ROAD, LINE, {0: (1.0, 2.0)}, Nothing()],
    "tree": [None, 1, "graph", [(0, 1)], ROAD, nx.DiGraph(), {0: (1.0, 2.0)}, Nothing(), LINE, LOOP, nx.Graph()],
    "transform": [
        *(1, 0.5, (), (1.0,), (1, 0, 0, 0, 1), (1, 0, 0, 0, 1, 0, 0), (1, 0, 0, 0, 0, 0), (1, 2, 0, 2, 4, 0)),
        *((1, 0, 0, 0, math.nan, 0), (1, 0, 0, 0, math.inf, 0), (1, 0, 0, 0, "1", 0), (1, 0, 0, 0, True, 0)),
        *({1, 2, 3, 4, 5, 6}, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "crs": [True, 0.5, [1], {1}, Nothing(), *(["", "nowhere", -1, b"EPSG:4326"] if table() else [])],
    "meet": NOT_CHOICES,
    "spacing of a volume": [
        *(0, -1.0, (1.0, 2.0), (1.0, 1.0, 0.0), (1.0, 1.0, -1.0), (1.0, 1.0, math.nan), (), ("a", 1.0, 1.0)),
        *({1.0, 2.0}, None, *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "origin": [
        *(0, 1.0, (), (1.0, 2.0), (1.0, 2.0, 3.0, 4.0), (1.0, 1.0, math.nan), ("a", 1.0, 1.0), (True, 1.0, 1.0)),
        *({1.0, 2.0, 3.0}, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "axes of a volume": [None, 1, True, "", "x", "xx", "xyzx", "abc", "XYZ", b"xyz", ("x", "y", "z"), Nothing()],
    **{name: [None, 1, 0.5, True, [], Nothing()] for name in ("file to read", "path to write")},
    "image": [
        *(None, 1, "image", b"image", Nothing(), ROAD[0, 0, 0], np.zeros(3, bool), np.array(["a"])),
        np.zeros((2, 2), complex),
    ],
    "threshold": [1.0, *NOT_FINITE, *OBJECTS, *STRINGS, *BOOLS, *SEQUENCES],
    "shape": [
        *(None, 5, 5.0, (), (5,), (5, 5, 5, 5), (5, -1), (5, 1.5), (5, "a"), (5, True), (5, HUGE), "ab", b"ab"),
        *({5, 6}, {5: 6}, Nothing()),
    ],
    "tensor": [None, 1, 0.5, True, "x", [1.0], np.ones((2, 1)), Nothing()],
    "diagram": [
        *(None, 1, "a", [DIAGRAM], torch.zeros(1, 2), {0: DIAGRAM}, gpuph.Diagram, Nothing()),
        *(
            changed(birth=DIAGRAM.birth[0]),
            changed(birth=DIAGRAM.count[:, None]),
            changed(birth=DIAGRAM.birth * math.nan),
        ),
        *(changed(death=DIAGRAM.death[:1]), changed(death=DIAGRAM.death.double())),
        *(changed(count=DIAGRAM.count[:1]), changed(count=DIAGRAM.count[:, None]), changed(count=DIAGRAM.count.int())),
        *(changed(count=DIAGRAM.count.float()), changed(count=DIAGRAM.count.to("meta")), changed(count=-DIAGRAM.count)),
        changed(count=torch.tensor([1, -(2**60)])),
    ],
    "numbers of a diagram": [
        *(None, 1, "a", [DIAGRAM], torch.zeros(1, 2), {0: DIAGRAM}, gpuph.Diagram, Nothing()),
        *(changed(birth=DIAGRAM.birth[0]), changed(birth=DIAGRAM.count[:, None]), changed(count=DIAGRAM.count.int())),
        *(changed(death=DIAGRAM.death[:1]), changed(death=DIAGRAM.death.double()), changed(count=DIAGRAM.count[:1])),
    ],
    "diagrams": [None, 1, "x", [DIAGRAM], {0: torch.zeros(1)}, {0: None}, DIAGRAM],
    "diagrams of a batch": [None, 1, "x", [DIAGRAMS], {0: DIAGRAM}, DIAGRAM],
    "diagrams of one window": [None, 1, "x", [DIAGRAM], {}, {0: None}, DIAGRAM, DIAGRAMS, ONE[:0], Nothing()],
    "diagram of one window": [None, 1, "x", [ONE], {0: ONE}, gpuph.Diagram, Nothing()],
    "matching of one window": [None, 1, "x", [gpuph.match(ONE, ONE)], gpuph.match(DIAGRAM, DIAGRAM), Nothing()],
    "two strings": [None, 1, "ab", b"ab", True, [], ["a"], ["a", 1], ["a", "b", "c"], {"a", "b"}, Nothing()],
    "strings": [1, "red", b"red", True, [], ["red", 1], {"red"}, Nothing()],
    "picture": [
        *(None, 1, "x", b"x", True, Nothing(), PAIR, PAIR[0, 0, 0], PAIR[0, 0, 1:], PAIR[0].to(torch.complex64)),
        *([[0.0], [0.0, 1.0]], np.array([["a"]])),
    ],
    "representatives": [None, 1, "x", [FOUND], {1: FOUND}, gpuph.Representatives, Nothing()],
    "columns": [1, "0", b"0", True, [-1], [HUGE], [0.5], [True], ["0"], {0}, {0: 1}, Nothing()],
    "window of one": [1, -1, HUGE, *NOT_WHOLE, *(value for value in NOT_NUMBERS if value is not None)],
    "axes of a picture": [1, "ax", b"ax", True, [], MAP, Nothing()],
    "matchings": [None, 1, "x", [DIAGRAM], {0: DIAGRAM}, {0: None}, gpuph.match(DIAGRAM, DIAGRAM)],
    "points": [
        *(None, 1, "points", b"points", {0: torch.zeros(1, 2)}, {1}, iter([torch.zeros(1, 2)]), [None], [[0.0, 1.0]]),
        *([torch.zeros(2)], [torch.zeros(2, 3)], [torch.zeros(1, 2).int()], [np.zeros((1, 2))], torch.zeros(2, 3)),
        *(torch.zeros(()), [torch.zeros(1, 2), torch.zeros(1, 2).double()]),
        [torch.zeros(1, 2), torch.zeros(1, 2, device="meta")],
    ],
    "index": [
        *(True, None, 0.5, "0", ..., (0,), (slice(1), 0), torch.tensor([0.5]), torch.tensor(True), np.array(1.5)),
        *(torch.zeros(1, 1, dtype=torch.int64), [0.5], ["a"], [None], [[0], [1, 2]], {0}, Nothing()),
    ],
    "order or norm": [0, 3, -1, 1.5, True, False, "1", None, [1], torch.tensor([1.0]), Nothing(), *NOT_FINITE[:1]],
    "grid": [None, 1, "x", b"x", True, Nothing(), [["a"]], [[0.0]], {0: 1.0}, {1.0}, torch.zeros(()), [[0.0], [0, 1]]],
    "range": [
        *(1, 0.5, (), (0.0,), (0, 1, 2), (math.nan, 0.0), (0.0, math.inf), ("a", 1), (True, 1.0), (None, 1)),
        *({1.0, 2.0}, {1.0: 2.0}, None, *OBJECTS, *STRINGS, *BOOLS),
    ],
    "weight": [1, 0.5, "one", b"x", True, [1.0], torch.ones(1), Nothing(), lambda birth, persistence: 1.0],
    "list of a diagram": [None, 1, "x", True, [], [1], [None], {0: DIAGRAM}, Nothing(), [torch.zeros(1)]],
    "list of diagrams": [None, 1, "x", True, [], [1], [None], {0: DIAGRAM}, Nothing(), [DIAGRAM]],
    "device or dtype": [None, 0.5, True, "nowhere", b"cpu", [0], Nothing(), torch.int64, torch.complex64, torch.bool],
    "file to write": [None, 1, 0.5, True, b"x", [], Nothing()],
    **{f"file of {what}": [None, 1, 0.5, True, b"x", [], Nothing()] for what in ("a diagram", "diagrams")},
}
