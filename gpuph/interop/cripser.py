"""CubicalRipser's functions: `from gpuph.interop.cripser import computePH` instead of `from cripser import ...`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import arrays, checks, debug
from ..arrays import ArrayLike
from ..persistence import check_windows, pairs_of, query_of

__all__ = ["computePH", "computePH_T", "compute_ph"]

Floats = NDArray[np.float64]
NEVER = sys.float_info.max  # the death of classes that do not end


def computePH(
    arr: ArrayLike,
    maxdim: int = 3,
    top_dim: bool = False,
    embedded: bool = False,
    location: str = "yes",
    representatives: bool = False,
    n_threads: int = 1,
) -> Floats:
    """Compute the persistence pairs of one image, volume or signal in the V construction, as `cripser.computePH` does.

    Parameters
    ----------
    arr : array_like, shape (H, W), (D, H, W) or (L,)
        Values of the pixels, which are vertices: 4 neighbours connect in an image, or 6 in a volume. Where a value is
        inf, there is no pixel. Tensors are detached and copied to the CPU.
    maxdim : int
        Highest dimension; all dimensions if it is negative.
    top_dim : bool
        Return only the last dimension, whatever `maxdim` is: the loops of an image, or the voids of a volume.
    embedded, representatives : bool
        Not supported.
    location : str
        Ignored: both pixels of each pair are always returned, as in cripser 0.0.37.
    n_threads : int
        Ignored: `torch.set_num_threads` sets the number of threads.

    Returns
    -------
    array, shape (n, 9), float64
        Rows (dim, birth, death, x1, y1, z1, x2, y2, z2), where the indices of the birth pixel and of the death pixel
        are in the order of the axes of `arr`, and 0 along missing axes. A class that does not end has the largest
        float64 as its death, and -1 for its death pixel.

        Dimensions ascend. In dimension 0, deaths ascend, and in others, births descend, as in cripser.

    Raises
    ------
    TypeError
        If `arr` does not hold real numbers.
    ValueError
        If `arr` is empty, has more than three axes or a NaN.
    NotImplementedError
        If `embedded` or `representatives` is True.

    Notes
    -----
    Rows are cripser's where the values of all pixels differ, except for the order of rows of one dimension that have
    the same death (in dimension 0) or birth. Among pixels of equal value, births and deaths are the same, but the
    pixels may be others of the same value. For images that are one pixel wide, cripser 0.0.37 returns every pixel as a
    class that does not end; this function returns the pairs of the signal.

    References
    ----------
    S. Kaji, T. Sudo, K. Ahara: Cubical Ripser: software for computing persistent homology of image and volume data.
    2020, arXiv:2005.12692.

    Examples
    --------
    >>> from gpuph.interop.cripser import computePH
    >>> computePH([4.0, 0.0, 3.0, 1.0])[:, :6]
    array([[0.00000000e+000, 1.00000000e+000, 3.00000000e+000,
            3.00000000e+000, 0.00000000e+000, 0.00000000e+000],
           [0.00000000e+000, 0.00000000e+000, 1.79769313e+308,
            1.00000000e+000, 0.00000000e+000, 0.00000000e+000]])
    """
    _refuse(embedded=embedded, representatives=representatives)
    return _pairs(arr, "V", maxdim, top_dim=top_dim)


def computePH_T(
    arr: ArrayLike,
    maxdim: int = 3,
    top_dim: bool = False,
    embedded: bool = False,
    location: str = "yes",
    representatives: bool = False,
    n_threads: int = 1,
) -> Floats:
    """Compute the pairs in the T construction, as `tcripser.computePH` does; see `computePH`.

    Pixels are top-dimensional cells, so that 8 neighbours connect in an image, or 26 in a volume.
    """
    _refuse(embedded=embedded, representatives=representatives)
    return _pairs(arr, "T", maxdim, top_dim=top_dim)


def compute_ph(arr: ArrayLike, *, filtration: str = "V", inf_cutoff: bool = True, **settings: Any) -> Floats:
    """Compute the pairs as `cripser.compute_ph` does.

    Parameters
    ----------
    arr : array_like
        See `computePH`.
    filtration : {"V", "T"}
        The construction, in upper or lower case.
    inf_cutoff : bool
        Return inf as the death of classes that do not end, and not the largest float64.
    **settings : Any
        See `computePH`.
    """
    compute = {"V": computePH, "T": computePH_T}[checks.construction(str(filtration).upper())]
    rows = compute(arr, **settings)
    if checks.boolean("inf_cutoff", inf_cutoff):
        rows[rows[:, 2] == NEVER, 2] = np.inf
    return rows


def _refuse(*, embedded: bool, representatives: bool) -> None:
    """Raise for settings that are not supported."""
    if checks.boolean("embedded", embedded):
        raise NotImplementedError("embedded=True is not supported")
    if checks.boolean("representatives", representatives):
        raise NotImplementedError("representatives=True is not supported; use gpuph.representatives")


def _pairs(arr: ArrayLike, construction: str, maxdim: int, *, top_dim: bool) -> Floats:
    """Return the rows of all dimensions."""
    x = arrays.as_floats("arr", arr).detach().cpu().double()
    shape, rank = tuple(x.shape), x.dim()
    if rank not in (1, 2, 3):
        raise ValueError(f"arr must have 1, 2 or 3 axes, got {rank}")
    windows = x[None] if rank > 1 else x[None, None]  # a signal is an image with one row
    check_windows(windows, "arr")
    last = checks.integer("maxdim", maxdim, least=-checks.LARGEST)
    dims = [rank - 1] if checks.boolean("top_dim", top_dim) else [*range(rank if last < 0 else min(rank, last + 1))]
    found = pairs_of(windows, query_of(windows, dims, construction))
    debug.raise_status(found.status, ("arr",), 0)
    parts = [
        _rows(dim, pairs.value.numpy()[0], pairs.index.numpy()[0], shape)
        for dim, pairs in zip(dims, found.pairs, strict=True)
    ]
    return np.concatenate(parts)


def _rows(dim: int, points: Floats, pixels: NDArray[np.int64], shape: tuple[int, ...]) -> Floats:
    """Return the rows of one dimension, in cripser's order."""
    exist = points[0] < np.inf
    (birth, death), (birth_pixel, death_pixel) = points[:, exist], pixels[:, exist]
    ends = death < np.inf
    rows: Floats = np.zeros((len(birth), 9))
    rows[:, 0], rows[:, 1], rows[:, 2] = dim, birth, death.clip(max=NEVER)
    rows[:, 3 : 3 + len(shape)] = np.stack(np.unravel_index(birth_pixel, shape), axis=1)
    rows[:, 6 : 6 + len(shape)] = np.stack(np.unravel_index(death_pixel.clip(min=0), shape), axis=1)
    rows[~ends, 6:] = -1
    order = np.lexsort((birth_pixel, death)) if dim == 0 else np.lexsort((birth_pixel, death, -birth))
    return rows[order]
