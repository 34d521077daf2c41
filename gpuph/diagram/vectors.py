"""Vectors of persistence diagrams: batched, differentiable, and computed on the device of the diagrams."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .. import arrays, checks
from .diagram import Diagram, check_diagram, is_superlevel, sublevel


def total_persistence(diagram: Diagram, *, order: float = 1.0) -> Tensor:
    """Compute the sum of the lengths of all finite bars, to the power `order`.

    Parameters
    ----------
    diagram : Diagram, shape (N, K)
    order : float, above 0
        Power of the length abs(death - birth).

    Returns
    -------
    Tensor, shape (N,)
        Sums, in filtration values to the power `order`, in the dtype of the diagram. Bars of infinite length are left
        out. The gradient of a bar of length 0 is 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import torch
    >>> from gpuph import Diagram, total_persistence
    >>> diagram = Diagram.from_list([torch.tensor([[0.0, 3.0], [1.0, 2.0], [0.0, torch.inf]])])
    >>> total_persistence(diagram, order=2)
    tensor([10.])
    """
    check_diagram("diagram", diagram)
    order = checks.number("order", order, positive=True)
    length = (diagram.death - diagram.birth).abs()
    some = diagram.mask & length.isfinite() & (length > 0)
    return (length.where(some, 1.0) ** order).where(some, 0.0).sum(1)


def betti_curve(diagram: Diagram, grid: Tensor | Sequence[float], *, width: float = 0.0) -> Tensor:
    """Count the bars that are alive at each value of a grid: the Betti numbers.

    Parameters
    ----------
    diagram : Diagram, shape (N, K)
    grid : array_like, shape (T,)
        Filtration values.
    width : float, 0 or more
        0 for exact numbers, without a gradient. Otherwise each step at a birth or a death becomes a logistic function
        of this width, in filtration values, which has a gradient.

    Returns
    -------
    Tensor, shape (N, T)
        Betti numbers, in the dtype of the diagram. A bar is alive from its birth on and until just before its death.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import torch
    >>> from gpuph import Diagram, betti_curve
    >>> diagram = Diagram.from_list([torch.tensor([[0.0, 3.0], [1.0, 2.0], [0.0, torch.inf]])])
    >>> betti_curve(diagram, [-1, 0, 1, 2, 3])
    tensor([[0., 2., 3., 2., 1.]])
    """
    check_diagram("diagram", diagram)
    width, t = checks.number("width", width, 0.0), _grid(grid, diagram)
    birth, death = sublevel(diagram)
    t = -t if is_superlevel(diagram) else t
    if width > 0.0:
        alive = _step(t, birth, width) - _step(t, death, width)
        return alive.where(diagram.mask[:, :, None], 0.0).sum(1)
    begun, ended = (_not_above(x.detach().where(diagram.mask, torch.inf), t) for x in (birth, death))
    return (begun - ended).to(diagram.birth.dtype)


def persistence_image(
    diagram: Diagram,
    *,
    birth_range: Sequence[float],
    persistence_range: Sequence[float],
    resolution: int | Sequence[int] = 20,
    bandwidth: float = 1.0,
    weight: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Compute persistence images: sums of Gaussians around the points (birth, persistence).

    Parameters
    ----------
    diagram : Diagram, shape (N, K)
    birth_range, persistence_range : (float, float)
        The first and the last value on each axis of the image, in filtration values.
    resolution : int or (int, int)
        Number of columns, along the births, and of rows, along the persistences; one number for both.
    bandwidth : float, above 0
        Standard deviation of the Gaussians, in filtration values.
    weight : callable, optional
        Function of births and persistences, shape (N, K), that returns the weights of the points. All weights are 1 by
        default, as in GUDHI. `lambda birth, persistence: persistence` makes the image continuous where points appear on
        the diagonal.

    Returns
    -------
    Tensor, shape (N, rows, columns)
        Values, in the dtype of the diagram; `image.flatten(1)` are those of GUDHI's PersistenceImage. The integral of
        each Gaussian is the weight of its point. Bars of infinite length are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    H. Adams et al., "Persistence Images: A Stable Vector Representation of Persistent Homology", JMLR 18, 2017.

    Examples
    --------
    >>> import torch
    >>> from gpuph import Diagram, persistence_image
    >>> diagram = Diagram.from_list([torch.tensor([[0.0, 3.0]])])
    >>> image = persistence_image(diagram, birth_range=(0, 2), persistence_range=(0, 3), resolution=(3, 4))
    >>> image[0].argmax().item()  # the last row, the first column
    9
    """
    check_diagram("diagram", diagram)
    bandwidth = checks.number("bandwidth", bandwidth, positive=True)
    columns, rows = checks.per_axis("resolution", checks.sizes("resolution", resolution, 1), 2)
    x, y = (
        _axis("birth_range", birth_range, columns, diagram),
        _axis("persistence_range", persistence_range, rows, diagram),
    )
    persistence = (diagram.death - diagram.birth).abs()
    some = diagram.mask & persistence.isfinite()
    birth, persistence = diagram.birth.where(some, 0.0), persistence.where(some, 0.0)
    mass = some.to(birth.dtype) if weight is None else _weights(weight, birth, persistence).where(some, 0.0)
    across, up = (_gaussian(t, values, bandwidth) for t, values in ((x, birth), (y, persistence)))
    return (up * mass[:, :, None]).transpose(1, 2) @ across / (2 * torch.pi * bandwidth**2)


def landscape(diagram: Diagram, grid: Tensor | Sequence[float], *, levels: int = 5) -> Tensor:
    """Compute persistence landscapes: the largest, second largest, ... height of the tents over the bars.

    Parameters
    ----------
    diagram : Diagram, shape (N, K)
    grid : array_like, shape (T,)
        Filtration values.
    levels : int, 1 or more
        Number of functions.

    Returns
    -------
    Tensor, shape (N, levels, T)
        Values, in the dtype of the diagram; `values.flatten(1)` are those of GUDHI's Landscape. As there, they are
        sqrt(2) times Bubenik's: the tent over a bar is sqrt(2) max(0, min(t - birth, death - t)). The tent over a bar
        that never dies rises without end; leave such bars out with `diagram.finite()`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    P. Bubenik, "Statistical Topological Data Analysis using Persistence Landscapes", JMLR 16, 2015.

    Examples
    --------
    >>> import torch
    >>> from gpuph import Diagram, landscape
    >>> diagram = Diagram.from_list([torch.tensor([[0.0, 4.0], [2.0, 4.0]])])
    >>> (landscape(diagram, [1, 2, 3], levels=2) / 2**0.5).round(decimals=4)
    tensor([[[1., 2., 1.],
             [0., 0., 1.]]])
    """
    check_diagram("diagram", diagram)
    levels, t = checks.integer("levels", levels, 1), _grid(grid, diagram)
    birth, death = sublevel(diagram)
    t = -t if is_superlevel(diagram) else t
    tents = torch.minimum(t - birth[:, :, None], death[:, :, None] - t).clamp(min=0.0)
    tents = tents.where(diagram.mask[:, :, None], 0.0)
    found = tents.topk(min(levels, tents.shape[1]), dim=1).values
    missing = found.new_zeros(len(found), levels - found.shape[1], len(t))
    return torch.cat((found, missing), dim=1) * 2**0.5


def _grid(grid: object, diagram: Diagram) -> Tensor:
    """Return a grid as a tensor with the dtype and device of a diagram."""
    found = arrays.as_floats("grid", grid)
    if found.dim() != 1:
        raise ValueError(f"grid must have the shape (T,), got {tuple(found.shape)}")
    return found.to(diagram.birth.device, diagram.birth.dtype)


def _axis(name: str, limits: object, steps: int, diagram: Diagram) -> Tensor:
    """Return evenly spaced values from the first to the last of a range."""
    expected = f"{name} must be two numbers, the first and the last value of the axis, got {checks.shown(limits)}"
    if not checks.is_ordered(limits):
        raise TypeError(expected)
    found = checks.numbers(name, limits)
    if len(found) != 2:
        raise ValueError(expected)
    return torch.linspace(*found, steps, dtype=diagram.birth.dtype, device=diagram.birth.device)


def _weights(weight: object, birth: Tensor, persistence: Tensor) -> Tensor:
    """Return the weights of points; raise unless they are a tensor of their shape."""
    if not callable(weight):
        raise TypeError(f"weight must be a callable or None, got {checks.shown(weight)}")
    found = weight(birth, persistence)
    if not isinstance(found, Tensor) or found.shape != birth.shape:
        raise TypeError(f"weight must return a tensor of shape {tuple(birth.shape)}, got {checks.shown(found)}")
    return found


def _gaussian(t: Tensor, values: Tensor, bandwidth: float) -> Tensor:
    """Return exp(-(t - value)^2 / (2 bandwidth^2)), shape (N, K, T)."""
    return (((t - values[:, :, None]) / bandwidth).square() / -2).exp()


def _step(t: Tensor, values: Tensor, width: float) -> Tensor:
    """Return logistic steps from 0 to 1 at the values, shape (N, K, T); the values may be infinite."""
    return ((t - values[:, :, None]) / width).sigmoid()


def _not_above(values: Tensor, t: Tensor) -> Tensor:
    """Count the values (N, K) that are at most t (T,), shape (N, T)."""
    in_order = values.to(torch.promote_types(values.dtype, torch.float32)).sort(dim=1).values
    return torch.searchsorted(in_order, t.to(in_order.dtype).expand(len(values), -1).contiguous(), right=True)
