"""The structure of the library: imports run one way, files are short, and functions take few parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE, MOST_PARAMETERS = 300, 7

# The layers of the library, the lowest first. A module may import modules of its own layer, except those of a sibling
# (losses and metrics are siblings, and so are the kernels of two devices), and modules of lower layers.
LAYERS = (
    ("gpuph.kernels",),
    ("gpuph.kernels.cpu", "gpuph.kernels.triton"),
    ("gpuph.checks", "gpuph.hints", "gpuph.debug", "gpuph.arrays", "gpuph.spacing"),
    ("gpuph.ops",),
    (
        *("gpuph.persistence", "gpuph.diagram", "gpuph.matching"),
        *("gpuph.betti_matching", "gpuph.representatives", "gpuph.place"),
        *("gpuph.skeletons", "gpuph.tubes"),
        *("gpuph.height", "gpuph.distance_map", "gpuph.windows"),
    ),
    ("gpuph.losses", "gpuph.metrics"),
    ("gpuph.interop", "gpuph.plot"),
    ("gpuph",),
)
# The layers whose siblings may import one another. `test_no_import_circles` keeps their order.
CONNECTED = LAYERS[2:3] + LAYERS[4:5]

# Decorators of functions that run on a device or are compiled by Numba: their parameters are those of a launch.
COMPILED = {"kernel", "device", "inlined", "allocating", "jit", "overload"}

# Host functions that may take more parameters, and why.
LONG_SIGNATURES = {
    **dict.fromkeys(
        (
            "gpuph.betti_matching.betti_match",
            "gpuph.interop.monai.losses._Loss.__init__",
            "gpuph.interop.monai.losses.SoftclDiceLoss.__init__",
            "gpuph.losses.betti_matching.BettiMatchingLoss.__init__",
            "gpuph.losses.betti.BettiPriorLoss.__init__",
            "gpuph.losses.connectivity.ConnectivityLoss.__init__",
            "gpuph.losses.distance.DistancePHLoss.__init__",
            "gpuph.losses.likelihood.LikelihoodPHLoss.__init__",
            "gpuph.losses.localized.LocalizedPHLoss.__init__",
            "gpuph.losses.morse.MorseSkeletonLoss.__init__",
            "gpuph.losses.one_vs_rest.OneVsRest.__init__",
            "gpuph.losses.topo.TopoLoss.__init__",
            "gpuph.metrics.apls.apls",
            "gpuph.metrics.betti.betti_error",
            "gpuph.metrics.betti_matching.betti_matching_error",
            "gpuph.metrics.modules.BettiErrorMetric.__init__",
            "gpuph.metrics.modules.TOPOMetric.__init__",
            "gpuph.metrics.too_long_too_short.too_long_too_short",
            "gpuph.metrics.topo.topo",
        ),
        "public; settings with defaults, which are given by name",
    ),
    **dict.fromkeys(
        (
            "gpuph.ops.assignment._fake_assign",
            "gpuph.ops.assignment._run_assign",
            "gpuph.ops.cost._fake",
            "gpuph.ops.cost._run",
            "gpuph.ops.framed_persistence._fake",
            "gpuph.ops.framed_persistence._run",
            "gpuph.ops.matched_persistence._fake",
            "gpuph.ops.matched_persistence._run",
            "gpuph.ops.match._fake",
            "gpuph.ops.match._run",
            "gpuph.ops.matched_cost._fake",
            "gpuph.ops.matched_cost._run",
            "gpuph.ops.spread_slopes._fake",
            "gpuph.ops.spread_slopes._run",
            "gpuph.ops.window_costs._fake",
            "gpuph.ops.window_costs._run",
        ),
        "called by PyTorch with an operator's schema, which is flat",
    ),
}


def module_files() -> dict[str, Path]:
    """Return the files of the library by the names of their modules; kernels/ is installed as gpuph.kernels."""
    files = {}
    for top, prefix in (("gpuph", ()), ("kernels", ("gpuph",))):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join((*prefix, *parts)).removesuffix(".__init__")] = path
    return files


FILES = module_files()


def trees() -> Iterator[tuple[str, Path, ast.Module]]:
    for module, path in FILES.items():
        yield module, path, ast.parse(path.read_text())


def imports() -> Iterator[tuple[str, str, str]]:
    """Yield importing module, imported module of the library, and where the import is; imports in functions too."""
    for module, path, tree in trees():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                base = ".".join([*parents, *([node.module] if node.module else [])])
                found = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in FILES else base for alias in node.names]
            else:
                continue
            for name in found:
                if name in FILES:
                    yield module, name, f"{path.relative_to(ROOT)}:{node.lineno}"


def place_of(module: str) -> tuple[int, str]:
    """Return a module's layer and its name there."""
    places = [(len(name), i, name) for i, names in enumerate(LAYERS) for name in names if within(module, name)]
    _, layer, name = max(places)
    return layer, name


def within(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def test_imports_run_from_losses_and_metrics_down_to_kernels() -> None:
    offenders = []
    for module, imported, where in imports():
        (layer, name), (other_layer, other_name) = place_of(module), place_of(imported)
        siblings = layer == other_layer and name != other_name and LAYERS[layer] not in CONNECTED
        if other_layer > layer or siblings:
            offenders.append(f"{where} imports {imported}")
    assert not offenders, "\n".join(offenders)


def test_only_operators_import_the_kernels_of_a_device() -> None:
    devices = "gpuph.kernels.cpu", "gpuph.kernels.triton"
    offenders = [
        f"{where} imports {imported}"
        for module, imported, where in imports()
        if not within(module, "gpuph.kernels") and not within(module, "gpuph.ops")
        if any(within(imported, device) for device in devices)
    ]
    assert not offenders, "\n".join(offenders)


def test_no_import_circles() -> None:
    graph = nx.DiGraph((module, imported) for module, imported, _ in imports() if imported != "gpuph")
    circles = [part for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert not circles, circles


def test_every_file_can_be_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in FILES.values()}
    offenders = [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lengths.items() if n > LONGEST_FILE]
    assert not offenders, "\n".join(offenders)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module, prefix: str) -> Iterator[tuple[str, Function]]:
    """Yield all functions of a module, also nested ones, with their qualified names."""

    def walk(node: ast.AST, name: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                inner = f"{name}.{child.name}"
                if not isinstance(child, ast.ClassDef):
                    yield inner, child
            yield from walk(child, inner)

    return walk(tree, prefix)


def is_compiled(function: Function) -> bool:
    names = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    return any(ast.unparse(name).rpartition(".")[2] in COMPILED for name in names)


def parameters_of(function: Function) -> list[str]:
    taken = function.args
    all_of_them = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
    return [each.arg for each in all_of_them if each is not None and each.arg not in ("self", "cls", "ctx")]


def test_host_functions_take_few_parameters() -> None:
    offenders, long = [], set()
    for module, path, tree in trees():
        for name, function in functions(tree, module):
            count = len(parameters_of(function))
            if count > MOST_PARAMETERS and not is_compiled(function):
                long.add(name)
                if name not in LONG_SIGNATURES:
                    offenders.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name} takes {count}")
    assert not offenders, "\n".join(offenders)
    assert long == LONG_SIGNATURES.keys(), "exceptions that are no longer needed"


def test_host_functions_of_kernels_are_annotated() -> None:
    """mypy does not ask for it there, as functions for Numba and Triton cannot have annotations."""
    offenders = []
    for module, path, tree in trees():
        if not within(module, "gpuph.kernels"):
            continue
        # Numba compares the signatures of a function and of its overloads, whose implementations have no annotations.
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "overload")
        overloaded = {ast.unparse(call.args[0]) for call in calls}
        nested = {inner for _, outer in functions(tree, module) if is_compiled(outer) for inner in ast.walk(outer)}
        for _, function in functions(tree, module):
            taken = function.args
            missing = [
                each.arg
                for each in (*taken.args, *taken.kwonlyargs)
                if each.arg not in ("self", "cls") and not each.annotation
            ]
            if function in nested or is_compiled(function) or function.name in overloaded:
                continue
            if missing or not function.returns:
                offenders.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name}")
    assert not offenders, "\n".join(offenders)


def test_variadic_arguments_are_not_taken_apart_by_position() -> None:
    offenders = []
    for _, path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and node.args.vararg:
                offenders += [
                    f"{path.relative_to(ROOT)}:{part.lineno} {ast.unparse(part)}"
                    for part in ast.walk(node)
                    if isinstance(part, ast.Subscript) and ast.unparse(part.value) == node.args.vararg.arg
                    if isinstance(part.slice, (ast.Constant, ast.UnaryOp))
                ]
    assert not offenders, "\n".join(offenders)


@pytest.mark.parametrize("module", FILES)
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(ast.parse(FILES[module].read_text()))


def test_tests_wait_for_no_process_without_a_time_limit() -> None:
    offenders = []
    for path in sorted(path for path in (ROOT / "tests").rglob("*.py") if "ptxrun" not in path.parts):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        offenders += [
            f"{path.relative_to(ROOT)}:{call.lineno} {ast.unparse(call.func)}"
            for call in calls
            if ast.unparse(call.func).endswith(("subprocess.run", ".communicate"))
            if "timeout" not in {keyword.arg for keyword in call.keywords}
        ]
    assert not offenders, "\n".join(offenders)
