"""Validation and conversion of the inputs of the metrics."""

from __future__ import annotations

import networkx as nx
import torch
from torch import Tensor

from .. import arrays
from .. import spacing as sizes
from ..arrays import ArrayLike
from .clip_graph import clip_graph
from .draw_graph import draw_graph
from .masks import as_mask
from .skeleton_graph import skeleton_graph


def as_masks(pred: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> tuple[Tensor, Tensor]:
    """Check a pair of masks, shape (*spatial) or (B, 1, *spatial), and return them with shape (B, *spatial).

    Outside of the region of interest `mask`, if there is one, both are False.
    """
    pred, target = as_mask("pred", pred), as_mask("target", target)
    masks = _as_batch("pred", pred), _as_batch("target", target)
    if pred.shape != target.shape:
        raise ValueError(f"pred and target must have the same shape, got {tuple(pred.shape)} and {tuple(target.shape)}")
    if pred.device != target.device:
        raise ValueError(f"pred and target must be on the same device, got {pred.device} and {target.device}")
    return _inside(masks[0], mask), _inside(masks[1], mask)


def as_graphs(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    mask: ArrayLike | None = None,
    spacing: sizes.Spacing = 1.0,
) -> list[tuple[nx.Graph, nx.Graph]]:
    """Check a pair of masks or graphs, and return a pair of graphs for each image. Masks are replaced by skeletons.

    The skeletons are in units of `spacing`, in which graphs are given. If there is a region of interest, they are the
    graphs of what lies inside.
    """
    if not isinstance(pred, nx.Graph) and not isinstance(target, nx.Graph):
        pairs = zip(*as_masks(pred, target, mask), strict=True)
        return [(skeleton_graph(one, spacing=spacing), skeleton_graph(true, spacing=spacing)) for one, true in pairs]
    return [(_as_graph("pred", pred, mask, spacing), _as_graph("target", target, mask, spacing))]


def as_drawn_masks(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    mask: ArrayLike | None = None,
    spacing: sizes.Spacing = 1.0,
) -> tuple[Tensor, Tensor]:
    """Check a pair of masks, one of which may be a graph, and return them with shape (B, *spatial).

    A graph, in units of `spacing`, is drawn on the grid of the mask. Outside of a region of interest, both are False.
    """
    if isinstance(pred, nx.Graph) and isinstance(target, nx.Graph):
        raise ValueError(
            "pred or target must be a mask: two graphs do not define the shape of the image that they lie in; "
            "draw them with gpuph.metrics.draw_graph"
        )
    if isinstance(pred, nx.Graph):
        image = _as_image("target", target)
        return _inside(_draw_on(image, pred, spacing)[None], mask), _inside(image[None], mask)
    if isinstance(target, nx.Graph):
        image = _as_image("pred", pred)
        return _inside(image[None], mask), _inside(_draw_on(image, target, spacing)[None], mask)
    return as_masks(pred, target, mask)


def _inside(images: Tensor, mask: ArrayLike | None) -> Tensor:
    """Return masks (B, *spatial) that are False outside of a region, which is that of one image or of each."""
    if mask is None:
        return images
    mask = _as_region(mask)
    region = _as_batch("mask", mask)
    if region.shape[1:] != images.shape[1:] or len(region) not in (1, len(images)):
        raise ValueError(
            f"mask must have the shape {tuple(images.shape[1:])} of one image, or {(len(images), 1, *images.shape[1:])}"
            f" of all, got {tuple(mask.shape)}"
        )
    if region.device != images.device:
        raise ValueError(f"mask must be on the device of pred and target, {images.device}, got {region.device}")
    return images & region


def _as_graph(name: str, value: ArrayLike | nx.Graph, mask: ArrayLike | None, spacing: sizes.Spacing) -> nx.Graph:
    """Return what lies inside of a region, as a graph in units of `spacing`."""
    if not isinstance(value, nx.Graph):
        return skeleton_graph(_inside(_as_image(name, value)[None], mask)[0], spacing=spacing)
    if mask is None:
        return value
    regions = _as_batch("mask", _as_region(mask))
    if len(regions) != 1:
        raise ValueError(f"mask must hold one mask if an input is a graph, got {len(regions)}")
    region = regions[0].cpu().numpy()
    return clip_graph(value, region, sizes.per_axis(spacing, region.ndim))


def _as_region(mask: ArrayLike) -> Tensor:
    """Return a region of interest as a tensor. Unlike `pred` and `target`, it must hold booleans."""
    found = arrays.as_tensor("mask", mask)
    if found.dtype != torch.bool:
        raise TypeError(
            f"mask must hold booleans, True on the pixels that count, got {found.dtype}; mask != 0 makes them"
        )
    return found


def _as_batch(name: str, mask: ArrayLike) -> Tensor:
    found = as_mask(name, mask)
    batched = found.dim() in (4, 5) and found.shape[1] == 1
    spatial = found.shape[2:] if batched else found.shape
    if len(spatial) not in (2, 3) or 0 in spatial:
        raise ValueError(
            f"{name} must have the shape (H, W), (D, H, W), (B, 1, H, W) or (B, 1, D, H, W) "
            f"with sides of at least 1, got {tuple(found.shape)}"
        )
    return found.reshape(-1, *spatial)


def _as_image(name: str, mask: ArrayLike) -> Tensor:
    masks = _as_batch(name, mask)
    if len(masks) != 1:
        raise ValueError(f"{name} must hold one mask if the other input is a graph, got {len(masks)}")
    return masks[0]


def _draw_on(mask: Tensor, graph: nx.Graph, spacing: sizes.Spacing) -> Tensor:
    return torch.from_numpy(draw_graph(graph, mask.shape, spacing=spacing)).to(mask.device)
