"""Skeletons of skan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from .. import checks
from .. import spacing as sizes
from .georeference import length

__all__ = ["from_skan"]


def from_skan(skeleton: Any, *, spacing: float | Sequence[float] = 1.0) -> nx.MultiGraph:
    """Convert a skeleton of skan to a graph that `gpuph.metrics` takes.

    Parameters
    ----------
    skeleton : skan.Skeleton
        Its pixels are `coordinates`, and its branches `path(i)`. Where a junction has several pixels, skan has branches
        between them, and so does the graph.
    spacing : float or sequence of float, one per axis
        Size of a pixel; positions are returned in its unit. `skeleton.spacing` is the one that the skeleton was made
        with. With the default, positions are in pixels.

    Returns
    -------
    networkx.MultiGraph
        Nodes are the ends of branches and the pixels without neighbours. Their names are skan's numbers of pixels, and
        they have `pos`. Edges have `path`, shape (n, ndim), float64, `length`, and `branch`, skan's number of the path.

    Raises
    ------
    TypeError, ValueError
        If `skeleton` does not have these attributes, or `spacing` is not positive or does not have one number for each
        axis.

    References
    ----------
    J. Nunez-Iglesias, A. J. Blanch, O. Looker, M. W. Dixon, L. Tilley: A new Python library to analyse skeleton images
    confirms malaria parasite remodelling of the red blood cell membrane skeleton. PeerJ 6, 2018.

    Examples
    --------
    >>> import numpy as np, skan
    >>> from gpuph.interop import from_skan
    >>> from_skan(skan.Skeleton(np.eye(5, dtype=bool))).number_of_edges()
    1
    """
    missing = [name for name in ("coordinates", "path", "n_paths", "degrees") if not hasattr(skeleton, name)]
    if missing:
        raise TypeError(f"skeleton must be a skan.Skeleton, got {checks.shown(skeleton)}, without `{missing[0]}`")
    size = sizes.checked(spacing)
    pixels = np.array(skeleton.coordinates, float)
    if pixels.ndim != 2 or pixels.shape[1] not in (2, 3):
        raise ValueError(f"skeleton must be of an image or a volume, got coordinates of shape {pixels.shape}")
    each = sizes.per_axis(size, pixels.shape[1])
    position = pixels if each is None else pixels * each
    new = nx.MultiGraph()
    new.add_nodes_from((pixel, {"pos": position[pixel]}) for pixel in np.flatnonzero(skeleton.degrees == 0).tolist())
    for branch in range(int(skeleton.n_paths)):
        walked = np.asarray(skeleton.path(branch))
        ends = int(walked[0]), int(walked[-1])
        new.add_nodes_from((end, {"pos": position[end]}) for end in ends)
        new.add_edge(*ends, path=position[walked], length=length(position[walked]), branch=branch)
    return new
