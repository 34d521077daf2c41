"""The interfaces of other libraries of persistent homology, computed by gpuph, and conversions of the data of others.

One module per library, named after it. The libraries of persistent homology are not needed: `docs/migrating.md` says
what changes. The functions below convert graphs of streets, skeletons and neurons, as `docs/graphs.md` describes. They
need networkx, which is imported with the first of them. `gpuph.interop.dask` computes on arrays larger than memory: see
`docs/large.md`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .geopandas import from_geodataframe, to_geodataframe
    from .osmnx import from_osmnx
    from .skan import from_skan
    from .sknw import from_sknw
    from .swc import read_swc, write_swc

__all__ = [
    "from_geodataframe",
    "from_osmnx",
    "from_skan",
    "from_sknw",
    "read_swc",
    "to_geodataframe",
    "write_swc",
]

_MODULES = {
    "from_geodataframe": "geopandas",
    "from_osmnx": "osmnx",
    "from_skan": "skan",
    "from_sknw": "sknw",
    "read_swc": "swc",
    "to_geodataframe": "geopandas",
    "write_swc": "swc",
}


def __getattr__(name: str) -> Any:
    """Import one of the functions above."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
