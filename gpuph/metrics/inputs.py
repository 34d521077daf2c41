"""Validation and conversion of the inputs of the metrics."""

from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from .draw_graph import draw_graph
from .skeleton_graph import skeleton_graph


def as_masks(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check a pair of masks, shape (*spatial) or (B, 1, *spatial), and return them with shape (B, *spatial)."""
    masks = _as_batch("pred", pred), _as_batch("target", target)
    if pred.shape != target.shape:
        raise ValueError(f"pred and target must have the same shape, got {tuple(pred.shape)} and {tuple(target.shape)}")
    if pred.device != target.device:
        raise ValueError(f"pred and target must be on the same device, got {pred.device} and {target.device}")
    return masks


def as_graphs(pred: Tensor | nx.Graph, target: Tensor | nx.Graph) -> list[tuple[nx.Graph, nx.Graph]]:
    """Check a pair of masks or graphs, and return a pair of graphs for each image. Masks are replaced by skeletons."""
    if not isinstance(pred, nx.Graph) and not isinstance(target, nx.Graph):
        masks, true_masks = as_masks(pred, target)
        return [(skeleton_graph(mask), skeleton_graph(true)) for mask, true in zip(masks, true_masks, strict=True)]
    graph = pred if isinstance(pred, nx.Graph) else skeleton_graph(_as_image("pred", pred))
    true_graph = target if isinstance(target, nx.Graph) else skeleton_graph(_as_image("target", target))
    return [(graph, true_graph)]


def as_drawn_masks(pred: Tensor | nx.Graph, target: Tensor | nx.Graph) -> tuple[Tensor, Tensor]:
    """Check a pair of masks, one of which may be a graph, and return them with shape (B, *spatial).

    A graph is drawn on the grid of the mask.
    """
    if isinstance(pred, nx.Graph) and isinstance(target, nx.Graph):
        raise ValueError(
            "pred or target must be a mask: two graphs do not define the shape of the image that they lie in; "
            "draw them with gpuph.metrics.draw_graph"
        )
    if isinstance(pred, nx.Graph):
        mask = _as_image("target", target)
        return _draw_on(mask, pred)[None], mask[None]
    if isinstance(target, nx.Graph):
        mask = _as_image("pred", pred)
        return mask[None], _draw_on(mask, target)[None]
    return as_masks(pred, target)


def _as_batch(name: str, mask: Tensor) -> Tensor:
    if not isinstance(mask, Tensor):
        hint = "; torch.from_numpy makes a tensor of an array" if isinstance(mask, np.ndarray) else ""
        raise TypeError(f"{name} must be a bool tensor, got {type(mask).__name__}{hint}")
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be a bool tensor, got {mask.dtype}")
    batched = mask.dim() in (4, 5) and mask.shape[1] == 1
    spatial = mask.shape[2:] if batched else mask.shape
    if len(spatial) not in (2, 3) or 0 in spatial:
        raise ValueError(
            f"{name} must have the shape (H, W), (D, H, W), (B, 1, H, W) or (B, 1, D, H, W) "
            f"with sides of at least 1, got {tuple(mask.shape)}"
        )
    # A bool tensor that is a view of bytes may hold any byte.
    return (mask.view(torch.uint8) != 0).reshape(-1, *spatial)


def _as_image(name: str, mask: Tensor) -> Tensor:
    masks = _as_batch(name, mask)
    if len(masks) != 1:
        raise ValueError(f"{name} must hold one mask if the other input is a graph, got {len(masks)}")
    return masks[0]


def _draw_on(mask: Tensor, graph: nx.Graph) -> Tensor:
    return torch.from_numpy(draw_graph(graph, mask.shape)).to(mask.device)
