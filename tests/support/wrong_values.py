"""Invalid values for each kind of parameter."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch.nn.functional import mse_loss

import gpuph

from .argument_objects import (
    DIAGRAM,
    DIAGRAMS,
    FOUND,
    HUGE,
    LINE,
    LOOP,
    MAP,
    ONE,
    PAIR,
    ROAD,
    TABLES,
    WINDOW,
    Nothing,
    changed,
)

# Objects that are not numbers, bools, sequences, mappings or strings.
OBJECTS: list[Any] = [Nothing(), Nothing, print, 1j, Decimal(1), torch.float32]
STRINGS: list[Any] = ["", "1", "no", b"", b"ab", bytearray(b"ab"), memoryview(b"ab"), np.str_("1")]
BOOLS: list[Any] = [True, False, np.True_, np.array(True), torch.tensor(True)]
SEQUENCES: list[Any] = [[], [1], (1.0,), {1}, {1: 1.0}, np.ones(1), torch.ones(1), torch.ones(2, dtype=torch.int64)]
NOT_FINITE: list[Any] = [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(math.nan), 10**400]
NOT_NUMBERS = OBJECTS + STRINGS + BOOLS + SEQUENCES + [None]
NOT_WHOLE: list[Any] = [1.5, 3.0, np.float64(3.0), Fraction(7, 2), torch.tensor(3.0), *NOT_FINITE[:5]]

# Values that several kinds have in common.
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
    "crs": [True, 0.5, [1], {1}, Nothing(), *(["", "nowhere", -1, b"EPSG:4326"] if TABLES else [])],
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
