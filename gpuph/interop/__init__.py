"""The interfaces of other libraries of persistent homology, computed by gpuph, and the data of others.

One module per library, named after it. The libraries of persistent homology are not needed: `docs/migrating.md` says
what changes. Graphs of streets, skeletons and neurons come and go by the functions below, described in
`docs/graphs.md`; `gpuph.interop.dask` computes on arrays larger than memory, as `docs/large.md` describes.
"""

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
