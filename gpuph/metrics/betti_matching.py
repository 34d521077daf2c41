"""Features of two masks that are not in the same place, counted in random windows."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import torch
from torch import Tensor
from torch.nn.functional import pad

from gpuph.kernels import Comparison

from ..arrays import ArrayLike
from ..betti_matching import match_windows
from ..distance_map import truncated_distance_map
from ..persistence import check_windows, query_of
from .betti import BettiSettings, measure


def betti_matching_error(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    dim: int = 1,
    window: float = 64,
    patches: int | None = None,
    trials: int = 10,
    border: bool = True,
    construction: str = "T",
    generator: torch.Generator | None = None,
    *,
    mask: ArrayLike | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> Tensor:
    """Compute the mean number of false and missing components, loops or cavities in random windows.

    `betti_error` compares numbers, so a false loop makes up for a missing one elsewhere. Here, features of prediction
    and truth are matched by their places, one to one, and all unmatched ones of both count, so this error is at least
    as large. `gpuph.betti_match` matches them, on the signed distances to the boundary: components if they overlap, and
    loops and cavities if the spaces that they enclose overlap where these are deepest.

    Parameters
    ----------
    pred, target, dim, window, patches, trials, border, construction, generator, mask, spacing
        As for `betti_error`. With the same generator, the windows are the same.

    Returns
    -------
    Tensor, shape (), float32
        The mean over windows and trials, on the device of the masks.

    Raises
    ------
    TypeError, ValueError
        As for `betti_error`.
    NotImplementedError
        If the masks are volumes on a device other than the CPU.

    References
    ----------
    N. Stucki, J. C. Paetzold, S. Shit, B. Menze, U. Bauer: Topologically faithful image segmentation via induced
    matching of persistence barcodes. ICML 2023.

    Examples
    --------
    A ring in another place is both a missing loop and a false one:

    >>> import torch
    >>> from gpuph.metrics import betti_error, betti_matching_error
    >>> pred, target = torch.zeros(2, 64, 64, dtype=torch.bool)
    >>> for mask, corner in ((pred, 10), (target, 40)):
    ...     mask[corner : corner + 9, corner : corner + 9] = True
    ...     mask[corner + 1 : corner + 8, corner + 1 : corner + 8] = False
    >>> betti_error(pred, target, border=False), betti_matching_error(pred, target, border=False)
    (tensor(0.), tensor(2.))
    """
    settings = BettiSettings.checked(dim, window, patches, trials, border, construction, spacing=spacing)
    return measure(pred, target, settings, generator, mask, count_unmatched)


def count_unmatched(masks: Tensor, settings: BettiSettings) -> Tensor:
    """Return the numbers of features without a partner in the other mask, for masks of shape (N, 2, *spatial).

    The essential components of both are always matched. They must not be objects, so each window is surrounded by the
    frame or, in dimension 0 without a border, by a ring.
    """
    dim, construction = settings.dim, settings.construction
    masks = masks.transpose(0, 1).flatten(0, 1)
    sides = (1, 1) * (masks.dim() - 1)
    if settings.border:
        x = pad(_distances(pad(masks, sides, value=1))[_inside(masks)], sides, value=-2.0)
    elif dim == 0:
        x = pad(pad(_distances(masks), sides, value=1.0), sides, value=-2.0)
    else:
        x = _distances(masks)
    check_windows(x)
    # Components are the same if they overlap, and loops and cavities if what they enclose overlaps.
    (f, g), query = x.chunk(2), query_of(x, (dim,), construction, _LEAST)
    matching = match_windows(f, g, query, None, Comparison(dim == 0))
    pred, target = matching.pred[dim], matching.target[dim]
    return pred.count + target.count - 2 * (matching[dim].partner_a >= 0).sum(dim=1)


# Features of an object exist between -1 and 1, up to a tenth.
_LEAST = 1.0


def _distances(masks: Tensor) -> Tensor:
    """Return masks (N, *spatial) as functions whose sublevel sets at 0 are the objects.

    Values are within a tenth of -1 in objects and of 1 outside. The tenth is a distance: pixels deep in an object or in
    the background decide which features are matched where several overlap, and not the order of pixels.
    """
    objects, truncation = masks[:, None], float(sum(masks.shape[1:]))
    outside, inside = truncated_distance_map(objects, truncation), truncated_distance_map(~objects, truncation)
    signs = 1.0 - 2.0 * masks.float()
    return signs + 0.1 * (outside - inside)[:, 0] / truncation


def _inside(masks: Tensor) -> tuple[slice, ...]:
    """Return the index of masks without the frames around them."""
    return (slice(None), *[slice(1, -1)] * (masks.dim() - 1))
