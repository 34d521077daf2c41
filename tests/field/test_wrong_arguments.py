"""Every public function and class refuses wrong arguments with an error that names them.

Each parameter has a kind, and each kind has valid and invalid values. A new parameter without a kind fails the test.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gpuph
import gpuph.interop
import gpuph.metrics
import gpuph.plot
from gpuph.metrics import modules
from support.argument_objects import HUGE
from support.right_values import RIGHT
from support.wrong_values import WRONG

BETTI = ("betti_error", "betti_matching_error", "BettiErrorMetric", "BettiMatchingErrorMetric")
METRICS = (
    "apls",
    "ccq",
    "cl_dice",
    "betti_error",
    "betti_matching_error",
    "junction_score",
    "too_long_too_short",
    "topo",
)
MODULES = ("APLS", "CCQ", "ClDice", "BettiError", "BettiMatchingError", "JunctionScore", "TooLongTooShort", "TOPO")

# The kind of each parameter, by "function.parameter" or by "parameter" alone. A kind that ends in "or None" has the
# invalid values of the kind without that ending.
KINDS: dict[str, str] = {
    **dict.fromkeys(("border", "superlevel", "per_window", "set_debug.on", "batched", "graphed"), "bool"),
    **dict.fromkeys(("skeletonize", "normalise"), "bool"),
    "match_empty": "False",  # the default construction does not allow True
    **{name: name for name in ("spread", "draw_from")},
    **dict.fromkeys(("include_background", "to_onehot_y", "softmax", "sigmoid"), "bool"),
    **dict.fromkeys(("dilation", "Diagrams.capacity", "iterations"), "int from 0"),
    **dict.fromkeys(("SkeletonRecallLoss.radius", "skeleton_tubes.radius"), "int from 0"),
    "smooth": "number above 0",
    "place": "place",
    "match.place": "place without pixels",
    "match.shape": "sizes from 1 or None",
    "pixel": "pixel",
    **{f"{name}.window": "int from 1" for name in BETTI},
    **dict.fromkeys(("trials", "paths"), "int from 1"),
    **dict.fromkeys(("capacity", "patches"), "int from 1 or None"),
    "axes": "axes",
    "draws": "draws",
    **{f"{name}.slope": "slope" for name in ("RandomLinear", "RandomRadial", "RandomQuadratic")},
    **dict.fromkeys(("betti_error.dim", "betti_matching_error.dim"), "dimension"),
    **dict.fromkeys(("BettiErrorMetric.dim", "BettiMatchingErrorMetric.dim"), "dimension of any rank"),
    **dict.fromkeys(("starts", "marbles_per_hole"), "int from 1"),
    **dict.fromkeys(("interval", "topo.tolerance", "TOPOMetric.tolerance"), "number above 0"),
    **{name: name for name in ("angle", "average")},
    "apls.points": "int from 2 or None",
    "APLSMetric.points": "int from 2 or None",
    "min_curvature": "number from 0 or None",
    "seed": "seed",
    "Radial.a": "number",
    **dict.fromkeys(("min_persistence", "threshold", "perfect", "disconnections", "connections"), "number from 0"),
    **dict.fromkeys(("merge", "tolerance"), "number from 0"),
    **dict.fromkeys(("slope", "radius", "snap", "apls.spacing", "APLSMetric.spacing"), "number above 0"),
    "truncated_distance_map.truncation": "number above 0",
    "ConnectivityLoss.truncation": "number above 0 or None",
    **{f"{name}.spacing": "spacing" for name in ("truncated_distance_map", "skeleton_graph", "draw_graph")},
    **{f"{name}.spacing": "spacing" for name in METRICS if name != "apls"},
    "spacing": "spacing of any rank",
    "metres_per_pixel": "spacing of any rank",
    "skeleton_graph.threshold": "threshold or None",
    "w": "vector",
    "q": "vector or None",
    "window": "sizes from 2 or None",
    "stride": "sizes from 1 or None",
    **dict.fromkeys(("persistence.dims", "betti_match.dims"), "dims or one"),
    "dims": "dims or weights",
    "betti": "Betti numbers",
    "weights": "weights or None",
    "height": "height or None",
    "generator": "generator or None",
    **dict.fromkeys(("base", "other_act"), "callable or None"),
    "loss": "loss",
    "weight": "class weights or None",
    "ignore_index": "label or None",
    "which": "kernels",
    **{name: name for name in ("manifolds", "construction", "unmatched", "reduction", "solver")},
    "persistence.x": "windows",
    **dict.fromkeys(("betti_match.pred", "betti_match.target"), "windows like others"),
    **dict.fromkeys(("BettiMatching.pred", "BettiMatching.target"), "diagrams of a batch"),
    "BettiMatching.by_dim": "matchings",
    "comparison": "comparison",
    **dict.fromkeys(("pred", "target"), "map"),
    **{
        f"{name}.forward.target": "mask or map"
        for name in (
            *("LikelihoodPHLoss", "TopoLoss", "MorseSkeletonLoss", "OneVsRest"),
            *("SoftClDiceLoss", "CbDiceLoss", "SkeletonRecallLoss"),
        )
    },
    **dict.fromkeys(("truncated_distance_map.mask", "skeleton_tubes.mask"), "mask"),
    "mask": "region or None",
    **{f"{name}.mask": "region of a metric or None" for name in METRICS},
    **{f"{name}Metric.update.mask": "region of a metric or None" for name in MODULES},
    **{f"{name}.{which}": "mask or graph" for which in ("pred", "target") for name in METRICS},
    **{f"{name}Metric.update.{which}": "mask or graph" for which in ("pred", "target") for name in MODULES},
    "draw_graph.graph": "graph",
    "draw_graph.shape": "shape",
    "skeleton_graph.image": "image",
    **{
        f"{name}.{field}": "tensor"
        for name in ("Diagram", "SuperlevelDiagram")
        for field in ("birth", "death", "birth_index", "death_index", "count")
    },
    **{f"Matching.{field}": "tensor" for field in ("partner_a", "partner_b", "cost", "gap")},
    "Diagrams.by_dim": "diagrams",
    "Diagrams.status": "tensor",
    **{
        f"{function}.{which}": "diagram"
        for function in ("match", "wasserstein_distance", "bottleneck_distance")
        for which in "ab"
    },
    **dict.fromkeys(("wasserstein_distance.order", "internal_p"), "order or norm"),
    **{
        f"{function}.diagram": "numbers of a diagram"
        for function in ("total_persistence", "betti_curve", "persistence_image", "landscape")
    },
    "total_persistence.order": "number above 0",
    "grid": "grid",
    "levels": "int from 1",
    "width": "number from 0",
    "bandwidth": "number above 0",
    "birth_range": "range",
    "persistence_range": "range",
    "resolution": "sizes from 1",
    "persistence_image.weight": "weight or None",
    **dict.fromkeys(("all_pairs", "non_blocking"), "bool"),
    **{f"{name}.cat.diagrams": "list of a diagram" for name in ("Diagram", "SuperlevelDiagram")},
    "Diagrams.cat.diagrams": "list of diagrams",
    "Diagrams.select.index": "index",
    **dict.fromkeys(("plot:diagram.diagrams", "plot:barcode.diagrams"), "diagrams of one window"),
    **{f"plot:matching.{which}": "diagram of one window" for which in "ab"},
    "plot:matching.matching": "matching of one window",
    "names": "two strings",
    "colors": "strings or None",
    **dict.fromkeys(("plot:gradient.image", "plot:gradient.gradient", "plot:representatives.image"), "picture"),
    "found": "representatives",
    "pairs": "columns or None",
    **{f"plot:{name}.window": "window of one or None" for name in gpuph.plot.__all__},
    "ax": "axes of a picture or None",
    **{f"{name}.to.target": "device or dtype" for name in ("Diagram", "SuperlevelDiagram", "Diagrams")},
    **{f"{name}.save.file": "file to write" for name in ("Diagram", "SuperlevelDiagram", "Diagrams")},
    **dict.fromkeys(("Diagram.load.file", "SuperlevelDiagram.load.file"), "file of a diagram"),
    "Diagrams.load.file": "file of diagrams",
    "from_osmnx.graph": "graph of osmnx",
    "from_sknw.graph": "graph of sknw",
    "from_skan.skeleton": "skeleton of skan",
    "to_geodataframe.graph": "graph",
    "write_swc.graph": "tree",
    "frame": "frame",
    "transform": "transform or None",
    "crs": "crs or None",
    "meet": "meet",
    **{f"{name}.spacing": "spacing" for name in ("from_sknw", "from_skan")},
    **{f"{name}.spacing": "spacing of a volume" for name in ("read_swc", "write_swc")},
    **{f"{name}.axes": "axes of a volume" for name in ("read_swc", "write_swc")},
    "origin": "origin or None",
    "read_swc.file": "file to read",
    "write_swc.file": "path to write",
    "points": "points",
    **dict.fromkeys(("Diagram.__getitem__.windows", "SuperlevelDiagram.__getitem__.windows"), "index"),
}
# Parameters with a default that other parameters' defaults do not allow.
NEEDED = ("OneVsRest.forward.target",)
# Methods that users do not call, and a mapping, whose missing keys raise KeyError.
EXEMPT = ("slopes", "__call__", ".compare", "Diagrams.__getitem__", "BettiMatching.__getitem__")
# What takes diagrams of certain windows, whose errors have tests of their own.
EXEMPT += ("representatives", "Representatives", *[f"Representatives.{x}" for x in ("mask", "to_list", "__getitem__")])


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


PLAIN = (str, bytes, bool, float, int, type(None))


@functools.cache
def public() -> dict[str, Callable[..., Any]]:
    """Return public functions, constructors and methods by name, except named tuples, which the library makes."""
    return dict(_public())


def _public() -> Iterator[tuple[str, Callable[..., Any]]]:
    classes = {name: value for name, value in vars(modules).items() if not name.startswith("_")}
    owned = {name: value for name, value in classes.items() if getattr(value, "__module__", "") == modules.__name__}
    names = [(module, name) for module in (gpuph, gpuph.metrics, gpuph.interop) for name in module.__all__]
    names = [(module, name) for module, name in names if RIGHT["frame"] or "geodataframe" not in name]
    pictures = [(f"plot:{name}", getattr(gpuph.plot, name)) for name in gpuph.plot.__all__]
    if importlib.util.find_spec("matplotlib") is None:
        pictures = []
    for name, value in [*((name, getattr(module, name)) for module, name in names), *owned.items(), *pictures]:
        if isinstance(value, type) and (issubclass(value, tuple) or inspect.isabstract(value)):
            continue
        yield name, value
        if isinstance(value, type):
            for method, function in inspect.getmembers(value, inspect.isroutine):
                inside = getattr(function, "__module__", None) or ""
                if inside.startswith("gpuph") and (method[0] != "_" or method in ("__call__", "__getitem__")):
                    yield f"{name}.{method}", function


def parameters() -> Iterator[tuple[str, str]]:
    for name, function in public().items():
        if name.endswith(EXEMPT) and not name.startswith("plot:"):
            continue
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name != "self" and parameter.kind != parameter.VAR_KEYWORD:
                yield name, parameter.name


def kind_of(name: str, parameter: str) -> str:
    return KINDS.get(f"{name}.{parameter}") or KINDS[parameter]


def wrong_values(kind: str) -> list[Any]:
    plain = kind.removesuffix(" or None")
    return [value for value in WRONG[plain] if value is not None or plain == kind]


def call(name: str, **given: Any) -> Any:
    """Call a function, or a method of an object made with valid arguments, with valid arguments for all but `given`."""
    owner, _, method = name.partition(".")
    function = public()[owner]
    if method:
        function = getattr(call(owner), method)
    required = {
        parameter.name: RIGHT[kind_of(name, parameter.name)][0]
        for parameter in inspect.signature(function).parameters.values()
        if (parameter.default is parameter.empty or f"{name}.{parameter.name}" in NEEDED)
        and parameter.kind != parameter.VAR_KEYWORD
    }
    return function(**{**required, **given})


def test_every_public_parameter_has_a_kind() -> None:
    missing = []
    for name, parameter in parameters():
        try:
            kind = kind_of(name, parameter)
            assert RIGHT[kind] and wrong_values(kind)
        except KeyError:
            missing.append(f"{name}.{parameter}")
    assert not missing
    assert sum(len(wrong_values(kind_of(*each))) for each in parameters()) >= 1000


@pytest.mark.parametrize(("name", "parameter"), [*parameters()])
def test_wrong_value_raises_an_error_that_names_the_argument(name: str, parameter: str) -> None:
    faults = []
    for value in wrong_values(kind_of(name, parameter)):
        try:
            call(name, **{parameter: value})
            faults.append(f"{value!r} is accepted")
        except (TypeError, ValueError) as error:
            message = str(error)
            named = parameter in message or name.endswith("__getitem__") or "a graph must be" in message
            shown = repr(value) in message or f"got {type(value).__name__}" in message or not isinstance(value, PLAIN)
            shown = shown or (type(value) is int and value > HUGE)  # messages leave out its digits
            if not (named and shown and ("got" in message or "NaN" in message)) or len(message) > 400:
                faults.append(f"{value!r} gives {message!r}")
        except Exception as error:
            faults.append(f"{value!r} gives {error!r}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("name", "parameter"), [*parameters()])
def test_right_value_of_any_type_is_accepted(name: str, parameter: str) -> None:
    for value in RIGHT[kind_of(name, parameter)]:
        call(name, **{parameter: value})
