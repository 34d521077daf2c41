"""The classes of torchmetrics, which accumulate over batches what the functions compute of all images at once."""

from __future__ import annotations

import pickle

import pytest
import torch

from gpuph import metrics
from support.graphs import grid

try:
    from gpuph.metrics import modules
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

FUNCTIONS = {
    modules.APLSMetric: (metrics.apls, {"spacing": 20.0, "points": None}),
    modules.TooLongTooShortMetric: (metrics.too_long_too_short, {"tolerance": 0.03, "radius": 9.0}),
    modules.TOPOMetric: (metrics.topo, {"radius": 40.0, "starts": 50, "tolerance": 3.0, "average": "macro"}),
    modules.JunctionScoreMetric: (metrics.junction_score, {"radius": 15.0}),
    modules.CCQMetric: (metrics.ccq, {"tolerance": 1.0}),
    modules.ClDiceMetric: (metrics.cl_dice, {}),
}
OF_BETTI = {
    modules.BettiErrorMetric: metrics.betti_error,
    modules.BettiMatchingErrorMetric: metrics.betti_matching_error,
}


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.zeros(3, 1, 90, 120, dtype=torch.bool)
    target[:, 0, 30] = target[:2, 0, :, 50] = target[0, 0, :, 90] = True
    pred = target.clone()
    pred[0, 0, 30, 60:80] = pred[1, 0, :30] = False
    return pred, target


@pytest.mark.parametrize("module", FUNCTIONS, ids=lambda module: module.__name__)
def test_updates_by_batches_equal_one_call_on_all_images(module, masks):
    function, options = FUNCTIONS[module]
    metric = module(**options)
    for pred, target in zip(*masks, strict=True):
        metric.update(pred[None], target[None])
    result = {name: float(value) for name, value in metric.compute().items()}
    expected = function(*masks, **options)._asdict()
    # Each update starts from the seed, but the function draws different paths or starts in each image.
    drawn = module in (modules.TooLongTooShortMetric, modules.TOPOMetric)
    assert result == pytest.approx(expected, abs=0.03 if drawn else 1e-12)
    assert module is not modules.TooLongTooShortMetric or sum(result.values()) == pytest.approx(1)


@pytest.mark.parametrize("module", [*FUNCTIONS, *OF_BETTI], ids=lambda module: module.__name__)
def test_metrics_can_be_reset_cloned_and_pickled(module, masks):
    metric = module()
    first = metric(*masks)
    assert str(metric.compute()) == str(first)
    for copy in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        assert str(copy.compute()) == str(first)
    metric.reset()
    metric.update(masks[1], masks[1])
    assert str(metric.compute()) != str(first)


@pytest.mark.parametrize("module", OF_BETTI, ids=lambda module: module.__name__)
def test_error_of_betti_numbers_is_the_mean_over_images(module, masks):
    metric = module(window=120, seed=3)
    for pred, target in zip(*masks, strict=True):
        metric.update(pred[None], target[None])
    each = [OF_BETTI[module](pred[None], target[None], window=120) for pred, target in zip(*masks, strict=True)]
    assert metric.compute() == pytest.approx(float(torch.stack(each).mean())) and metric.compute() > 0


def test_metrics_take_graphs():
    pred = grid()
    pred.remove_edge((1, 1), (1, 2))
    for module, (function, _) in FUNCTIONS.items():
        target = metrics.draw_graph(grid(), (210, 310)) if module is modules.ClDiceMetric else grid()
        metric = module()
        metric.update(pred, target)
        assert list(metric.compute().values()) == pytest.approx(list(function(pred, target)))
