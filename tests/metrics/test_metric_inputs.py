"""The metrics read booleans, labels and probabilities by one rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from gpuph.metrics import apls, betti_error, ccq, junction_score, skeleton_graph, too_long_too_short
from gpuph.metrics.masks import as_mask

PRED = torch.zeros(24, 26, dtype=torch.bool)
PRED[6], PRED[:, 5], PRED[18, :20] = True, True, True
TARGET = PRED.roll(1, 0)
SAME_OBJECT: dict[str, Callable[[torch.Tensor], Any]] = {
    "array": lambda mask: mask.numpy(),
    "list": lambda mask: mask.tolist(),
    "labels": lambda mask: torch.arange(1, 1 + mask.numel()).reshape(mask.shape) * mask,
    "negative labels": lambda mask: -mask.to(torch.int8),
    "0 and 255": lambda mask: 255 * mask.byte(),
    "uint16 array": lambda mask: 40_000 * mask.numpy().astype(np.uint16),
    "probabilities": lambda mask: 0.3 + 0.5 * mask.double(),
    "0 and 1 in half precision": lambda mask: mask.half(),
    "views of bytes": lambda mask: (6 * mask.byte()).view(torch.bool),
    "a batch of one": lambda mask: mask[None, None].float(),
}
METRICS = [
    ccq,
    lambda *masks: apls(*masks, points=20),
    lambda *masks: too_long_too_short(*masks, paths=20),
    junction_score,
    lambda *masks: betti_error(*masks, window=12, generator=torch.Generator().manual_seed(0)),
]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", SAME_OBJECT)
def test_metrics_read_every_kind_of_mask_by_its_dtype(kind: str, metric: Callable[..., Any]) -> None:
    expected = repr(metric(PRED, TARGET))
    batch = kind == "a batch of one"
    assert repr(metric(SAME_OBJECT[kind](PRED), TARGET[None, None] if batch else TARGET)) == expected
    assert repr(metric(PRED[None, None] if batch else PRED, SAME_OBJECT[kind](TARGET))) == expected


def test_labels_are_compared_with_a_graph() -> None:
    graph = skeleton_graph(TARGET)
    assert isinstance(graph, nx.Graph)
    assert ccq(PRED.numpy().astype(int), graph) == ccq(PRED, graph)


def test_probability_of_one_half_is_background() -> None:
    x = torch.tensor([0.0, 0.5, float(np.nextafter(np.float32(0.5), np.float32(1.0))), 1.0])
    assert as_mask("x", x).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (torch.tensor([0.0, 20.0]), "0 to 20"),
        (torch.tensor([-0.1, 0.5]), "-0.1 to 0.5"),
        (torch.tensor([0.5, float("nan")]), "nan"),
        (np.array([0.0, np.inf]), "inf"),
    ],
    ids=["distances", "logits", "nan", "inf"],
)
def test_floats_that_are_not_probabilities_raise_with_advice(x: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=rf"x must hold probabilities .* {shown}.* x < t for a distance map"):
        as_mask("x", x)


def test_empty_masks_of_floats_are_read() -> None:
    assert as_mask("x", torch.zeros(0, 3)).shape == (0, 3)
