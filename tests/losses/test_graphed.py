"""`graphed=True`: graphs are captured, leased and released, with an emulation of CUDA graphs on the CPU."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import gpuph
from gpuph.losses import graphs
from support.graphed import LOSSES, Recording, equal, gradient, maps

pytestmark = pytest.mark.usefixtures("graphs_on_the_cpu")


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("kind", LOSSES)
def test_values_and_gradients_equal_those_without_a_graph(kind: str, reduction: str) -> None:
    plain, graphed = (LOSSES[kind](reduction=reduction, graphed=on) for on in (False, True))
    for seed in range(4):
        assert equal(gradient(graphed, *maps(seed), 0.3), gradient(plain, *maps(seed), 0.3))
    assert len(graphed._graphs) == 1 and len(plain._graphs) == 0
    assert Recording.made == 2  # forward and backward


def test_first_call_with_a_kind_of_maps_captures_nothing() -> None:
    loss_fn = LOSSES["localized"](graphed=True)
    for calls, batch in ((0, 1), (1, 1), (1, 2), (1, 3), (2, 3)):
        gradient(loss_fn, *maps(0, batch=batch))
        assert len(loss_fn._graphs) == calls


def test_losses_before_their_backward_passes_have_graphs_of_their_own() -> None:
    plain, graphed = (LOSSES["localized"](graphed=on) for on in (False, True))
    inputs = [maps(seed) for seed in range(4)]
    losses = [graphed(*pair) for pair in inputs]
    grads = torch.autograd.grad(sum(losses[i] * (i + 1) for i in range(4)), [pred for pred, _ in inputs])
    for i, (pair, loss, grad) in enumerate(zip(inputs, losses, grads, strict=True)):
        assert equal((loss.detach(), grad), gradient(plain, *pair, i + 1))
    assert len(graphed._graphs) == 3  # and the first was computed without one


def test_no_more_graphs_than_the_limit_are_captured() -> None:
    plain, graphed = (LOSSES["localized"](graphed=on) for on in (False, True))
    inputs = [maps(seed) for seed in range(graphs.MOST + 4)]
    losses = [graphed(*pair) for pair in inputs]
    assert len(graphed._graphs) == graphs.MOST
    grads = torch.autograd.grad(sum(losses), [pred for pred, _ in inputs])
    assert all(torch.equal(grad, gradient(plain, *pair)[1]) for pair, grad in zip(inputs, grads, strict=True))
    for size in (9, 10, 9, 10):
        assert equal(gradient(graphed, *maps(1, size)), gradient(plain, *maps(1, size)))
    assert len(graphed._graphs) == graphs.MOST


def test_a_graph_is_free_again_after_backward_even_if_its_loss_is_kept() -> None:
    loss_fn = LOSSES["localized"](graphed=True)
    kept = []
    for seed in range(6):
        pred, target = maps(seed)
        kept.append(loss_fn(pred, target))
        kept[-1].backward()
    assert len(loss_fn._graphs) == 1 and len({float(loss.detach()) for loss in kept}) == 6


def test_a_graph_is_free_again_when_its_loss_is_dropped() -> None:
    loss_fn = LOSSES["localized"](graphed=True)
    for seed in range(6):
        loss_fn(*maps(seed))
    assert len(loss_fn._graphs) == 1


def test_backward_can_be_repeated_if_the_graph_is_retained() -> None:
    plain, graphed = (LOSSES["localized"](graphed=on) for on in (False, True))
    gradient(graphed, *maps(0))
    pred, target = maps(1)
    loss = graphed(pred, target)
    first = torch.autograd.grad(loss, pred, retain_graph=True)[0]
    gradient(graphed, *maps(2))  # takes another graph
    second = torch.autograd.grad(2 * loss, pred)[0]
    assert torch.equal(first, gradient(plain, pred, target)[1])
    assert torch.equal(second, gradient(plain, pred, target, 2.0)[1])
    assert len(graphed._graphs) == 2


def test_gradients_are_not_overwritten_by_later_steps() -> None:
    loss_fn = LOSSES["localized"](graphed=True)
    pred, target = maps(0)
    gradient(loss_fn, pred, target)
    loss = loss_fn(pred, target)
    loss.backward()
    assert pred.grad is not None
    before = pred.grad.clone(), loss.detach().clone()
    gradient(loss_fn, *maps(1))
    assert equal((pred.grad, loss.detach()), before)


def test_a_checkpoint_repeats_the_forward_pass_without_a_graph() -> None:
    plain, graphed = (LOSSES["localized"](graphed=on) for on in (False, True))
    for seed in range(3):
        pred, target = maps(seed)
        loss = checkpoint(graphed, pred, target, use_reentrant=False)
        assert torch.equal(torch.autograd.grad(loss, pred)[0], gradient(plain, pred, target)[1])
    assert len(graphed._graphs) == 0


def test_a_second_backward_pass_needs_retain_graph() -> None:
    loss_fn = LOSSES["localized"](graphed=True)
    gradient(loss_fn, *maps(0))
    loss = loss_fn(*maps(1))
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_second_derivatives_raise() -> None:
    loss_fn = LOSSES["topo"](graphed=True)
    gradient(loss_fn, *maps(0))
    pred, target = maps(1)
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(loss_fn(pred, target), pred, create_graph=True)


def test_evaluation_and_training_have_graphs_of_their_own() -> None:
    plain, graphed = (LOSSES["localized"](graphed=on) for on in (False, True))
    for seed in range(3):
        gradient(graphed, *maps(seed))
    for seed in range(3):
        pred, target = maps(seed)
        with torch.no_grad():
            loss = graphed.eval()(pred, target)
        assert not loss.requires_grad and torch.equal(loss, plain(pred, target).detach())
        with torch.inference_mode():
            assert torch.equal(graphed(pred, target), loss)
    assert [graph._backward is None for of_key in graphed._graphs._by_key.values() for graph in of_key] == [
        False, True, True,
    ]  # fmt: skip


def test_settings_that_change_are_not_ignored() -> None:
    plain, graphed = (LOSSES["distance"](graphed=on) for on in (False, True))
    for seed in range(2):
        gradient(graphed, *maps(seed))
    for loss_fn in (plain, graphed):
        loss_fn.weights[0] = 5.0
        loss_fn.reduction = "sum"
    for seed in range(2):
        assert equal(gradient(graphed, *maps(seed)), gradient(plain, *maps(seed)))


def test_random_heights_differ_between_replays() -> None:
    loss_fn = gpuph.LocalizedPHLoss(window=8, capacity=32, graphed=True)
    losses = [float(loss_fn(*maps(0)).detach()) for _ in range(6)]
    assert len(set(losses)) == 6 and len(loss_fn._graphs) == 1
    gradient(loss_fn.eval(), *maps(0))
    assert equal(gradient(loss_fn, *maps(0)), gradient(loss_fn, *maps(0)))


def test_capture_leaves_random_numbers_as_they_were() -> None:
    loss_fn = gpuph.LocalizedPHLoss(window=8, capacity=32, graphed=True)
    loss_fn(*maps(0))
    torch.manual_seed(0)
    captured = loss_fn(*maps(0))
    torch.manual_seed(0)
    assert torch.equal(loss_fn(*maps(0)), captured)


def test_half_precision_is_promoted_outside_of_the_graph() -> None:
    plain, graphed = (LOSSES["localized"](graphed=on) for on in (False, True))
    for seed in range(3):
        pred, target = maps(seed)
        half = pred.detach().half().requires_grad_()
        assert equal(gradient(graphed, half, target), gradient(plain, half, target))
    assert len(graphed._graphs) == 1


def test_strided_maps_are_copied() -> None:
    plain, graphed = (LOSSES["localized"](graphed=on) for on in (False, True))
    for seed in range(3):
        pred, target = maps(seed)
        pair = pred.mT, target.flip(2)
        assert equal(gradient(graphed, *pair), gradient(plain, *pair))


def test_classes_share_the_graphs_of_their_loss() -> None:
    plain, graphed = (gpuph.OneVsRest(LOSSES["likelihood"](graphed=on)) for on in (False, True))
    for seed in range(3):
        pred, target = (x.detach().view(1, 2, 16, 16) for x in maps(seed))
        pred.requires_grad_()
        assert equal(gradient(graphed, pred, target), gradient(plain, pred, target))
    assert len(graphed.loss._graphs) == 1


def _copied(loss_fn: Any) -> list[Any]:
    return [copy.copy(loss_fn), copy.deepcopy(loss_fn), pickle.loads(pickle.dumps(loss_fn))]


@pytest.mark.parametrize("kind", LOSSES)
def test_copies_have_no_graphs(kind: str) -> None:
    loss_fn = LOSSES[kind](graphed=True)
    gradient(loss_fn, *maps(0))
    expected = gradient(loss_fn, *maps(0))
    assert len(loss_fn._graphs) == 1 and loss_fn.state_dict() == {}
    for other in _copied(loss_fn):
        assert other.graphed and len(other._graphs) == 0
        assert equal(gradient(other, *maps(0)), expected)


def test_loss_can_be_copied_while_its_backward_pass_is_to_come() -> None:
    loss_fn = LOSSES["localized"](graphed=True)
    gradient(loss_fn, *maps(0))
    pred, target = maps(0)
    loss = loss_fn(pred, target)
    assert all(torch.equal(other(pred, target), loss) for other in _copied(loss_fn))
    loss.backward()


def test_a_failed_capture_raises_and_leaves_no_graph() -> None:
    class Failing(gpuph.losses.WindowLoss):
        calls = 0

        def compare(self, maps: Any) -> Any:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("capture failed")
            return gpuph.losses.Compared(sum(x.flatten(1).sum(1) for x in maps.windows()))

    loss_fn = Failing(graphed=True)
    loss_fn(*maps(0))
    with pytest.raises(RuntimeError, match="capture failed"):
        loss_fn(*maps(0))
    assert len(loss_fn._graphs) == 0
    gradient(loss_fn, *maps(0))
    assert len(loss_fn._graphs) == 1


@pytest.mark.parametrize("settings", [{"draws": 2}, {"spacing": 0.5}, {"spacing": (0.5, 2.0), "draws": 4}])
def test_heights_have_their_draws_and_spacing_in_a_graph(settings: dict[str, Any]) -> None:
    for height in (gpuph.RandomLinear(**settings), gpuph.RandomQuadratic(**settings)):
        plain, graphed = (
            gpuph.LocalizedPHLoss(window=8, height=height, dims=(0, 1), min_persistence=0.1, capacity=32, graphed=on)
            for on in (False, True)
        )
        for seed in range(4):
            results = []
            for loss_fn in (plain, graphed):
                torch.manual_seed(seed)
                results.append(gradient(loss_fn, *maps(seed)))
            assert equal(*results)
        assert len(graphed._graphs) == 1


@pytest.mark.parametrize("kind", LOSSES)
def test_masks_may_change_between_replays(kind: str) -> None:
    plain, graphed = (LOSSES[kind](graphed=on) for on in (False, True))
    for seed in range(4):
        mask = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(seed)) > 0.3 if seed != 1 else None
        results = []
        for loss_fn in (plain, graphed):
            pred, target = maps(seed)
            loss = loss_fn(pred, target, mask)
            results.append((loss.detach(), torch.autograd.grad(loss, pred)[0]))
        assert equal(*results)
        assert mask is None or (results[0][1][~mask] == 0).all()
    assert len(graphed._graphs) == 1


def test_only_the_nan_window_becomes_nan() -> None:
    loss_fn = LOSSES["localized"](graphed=True, reduction="none")
    for _ in range(2):
        gradient(loss_fn, *maps(0))
    pred, target = maps(1)
    with torch.no_grad():
        pred[0, 0, 0, 0] = float("nan")
    loss, grad = gradient(loss_fn, pred, target)
    assert loss.isnan().sum() == 1 and grad[0, 0, :8, :8].eq(0).all() and grad.isfinite().all()


def test_repr_shows_the_setting() -> None:
    assert "graphed=True" in repr(LOSSES["topo"](graphed=True)) and "graphed" not in repr(LOSSES["topo"]())
    with pytest.raises(TypeError, match="graphed must be a bool, got 1"):
        gpuph.TopoLoss(graphed=1)
