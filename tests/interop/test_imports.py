"""The libraries whose interfaces are offered are not needed, and others only by the functions for their data."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import gpuph.interop
from support.processes import python

NEEDED = {"gpuph", "networkx", "numpy", "torch", *sys.stdlib_module_names}
FILES = sorted(Path(gpuph.interop.__path__[0]).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}.{path.stem}" for path in FILES])
def test_only_packages_that_gpuph_depends_on_are_imported(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add((node.module or "").partition(".")[0])
    assert imported <= NEEDED


BLOCKED = """
import sys, warnings
absent = {"geopandas", "shapely", "pyproj", "osmnx", "sknw", "skan", "dask", "zarr", "affine"}
class Block:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in absent:
            raise ImportError(f"no {name}")
sys.meta_path.insert(0, Block())
import networkx as nx
import gpuph.interop.dask
from gpuph.interop import from_osmnx, to_geodataframe
graph = nx.MultiDiGraph([(0, 1)], crs="EPSG:4326")
nx.set_node_attributes(graph, 1.0, "x")
nx.set_node_attributes(graph, {0: 2.0, 1: 3.0}, "y")
assert from_osmnx(graph).number_of_edges() == 1
for call, package in (
    (lambda: to_geodataframe(nx.Graph()), "geopandas"),
    (lambda: from_osmnx(graph, crs="EPSG:3067"), "pyproj"),
    (lambda: gpuph.interop.dask.truncated_distance_map([[True]], 3.0), "dask[array]"),
):
    try:
        call()
    except ImportError as error:
        assert f"pip install '{package}" in str(error), error
    else:
        raise AssertionError(package)
"""


WITHOUT_NETWORKX = """
import sys
sys.modules["networkx"] = None
import gpuph.interop
from gpuph.interop import cripser, gudhi, topoloss, torch_topological
assert {*gpuph.interop.__all__} <= {*dir(gpuph.interop)}
try:
    from gpuph.interop import read_swc
except ImportError as error:
    assert "networkx" in str(error), error
else:
    raise AssertionError
"""


def test_interfaces_of_other_libraries_do_not_need_networkx() -> None:
    done = python("-c", WITHOUT_NETWORKX)
    assert done.returncode == 0, done.stderr


def test_missing_package_is_named_when_it_is_needed() -> None:
    done = python("-c", BLOCKED)
    assert done.returncode == 0, done.stderr
