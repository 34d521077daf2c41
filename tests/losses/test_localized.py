"""The localized loss: what it sees, and where it pushes."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

import gpuph
from gpuph.windows import frame


def distance_map(*segments: tuple[slice, slice], size: int = 64) -> Tensor:
    road = torch.zeros(1, 1, size, size, dtype=torch.bool)
    for rows, columns in segments:
        road[0, 0, rows, columns] = True
    return gpuph.truncated_distance_map(road, 20.0)


ALL = slice(None)
CROSSING = distance_map((slice(32, 33), ALL))
BROKEN = distance_map((slice(32, 33), slice(0, 27)), (slice(32, 33), slice(37, 64)))
DEAD_END = distance_map((slice(32, 33), slice(0, 30)))
EMPTY = torch.full_like(CROSSING, 20.0)


def loops(x: Tensor, border: bool = True) -> list[tuple[float, float]]:
    window = x[0]
    if border:
        window = frame(window, window.flatten(1).amin(dim=1))
    points = gpuph.persistence(window, dims=(1,))[1].to_list()[0]
    return sorted((float(birth), float(death)) for birth, death in points)


def test_a_crossing_road_makes_two_loops_with_the_frame() -> None:
    assert loops(CROSSING) == [(0.0, 20.0), (0.0, 20.0)]
    assert loops(CROSSING, border=False) == []


def test_a_gap_of_ten_pixels_moves_one_birth_to_five() -> None:
    assert loops(BROKEN) == [(0.0, 20.0), (5.0, 20.0)]
    assert loops(BROKEN, border=False) == []


def test_a_road_that_ends_inside_adds_no_loop() -> None:
    assert loops(DEAD_END) == [(0.0, 20.0)]
    assert loops(DEAD_END, border=False) == []


def test_the_loss_of_a_gap_is_the_square_of_its_half() -> None:
    loss_fn = gpuph.LocalizedPHLoss(height=None)
    assert loss_fn(BROKEN, CROSSING) == 25.0
    assert loss_fn(CROSSING, CROSSING) == 0.0


def test_a_false_road_costs_half_its_squared_persistence_or_its_distance() -> None:
    # The frame's own loop is split in two by the road: one of them has no partner.
    assert gpuph.LocalizedPHLoss(height=None)(CROSSING, DEAD_END) == 200.0
    distance = gpuph.LocalizedPHLoss(height=None, unmatched="distance")(CROSSING, DEAD_END)
    torch.testing.assert_close(distance, torch.tensor(20 / 2**0.5))


def test_height_tells_roads_at_different_places_apart() -> None:
    """Without it, a road at the wrong place is as good as the true one."""
    north = distance_map((slice(20, 21), ALL))
    south = north.flip(2)
    assert gpuph.LocalizedPHLoss(height=None)(north, south) == 0.0
    assert gpuph.LocalizedPHLoss(height=gpuph.Linear((0.2, 0.0)))(north, south) > 10.0


def test_a_birth_on_the_frame_has_no_gradient() -> None:
    """The frame is detached: where the prediction has its lowest pixel, nothing is pushed."""
    pred = EMPTY - 1
    pred[0, 0, 5, 5] = -3.0
    pred.requires_grad_()
    gpuph.LocalizedPHLoss(height=None)(pred, CROSSING).backward()
    assert pred.grad is not None and pred.grad[0, 0, 5, 5] == 0
    assert pred.grad.count_nonzero() > 0  # deaths are pixels all the same


def test_the_frame_lies_at_the_common_minimum() -> None:
    """With a minimum each, one low pixel of background would keep the loss from zero."""
    pred = CROSSING.clone()
    pred[0, 0, 32, 10] = -7.0  # on the road: it changes no loop's birth, which the rest of the road decides
    assert gpuph.LocalizedPHLoss(height=None)(pred, CROSSING) == 0.0


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("dims", [(1,), (0, 1)])
def test_descent_on_the_pixels_brings_the_loss_to_zero(construction: str, dims: tuple[int, ...]) -> None:
    target = distance_map((slice(8, 9), slice(0, 16)), size=16)
    pred = distance_map((slice(8, 9), slice(0, 5)), (slice(8, 9), slice(10, 16)), size=16).requires_grad_()
    loss_fn = gpuph.LocalizedPHLoss(window=16, dims=dims, height=gpuph.Linear((0.1, 0.2)), construction=construction)
    first = float(loss_fn(pred.detach(), target))
    optimizer = torch.optim.SGD([pred], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        loss = loss_fn(pred, target)
        loss.backward()
        optimizer.step()
    assert first > 0.1 and float(loss.detach()) < 1e-3 * first


@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize("superlevel", [True, False])
def test_gradcheck(border: bool, superlevel: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    pred = torch.randn(2, 1, 9, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    target = torch.randn(2, 1, 9, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    for unmatched in ("half_squared", "distance"):
        loss_fn = gpuph.LocalizedPHLoss(
            window=6,
            stride=4,
            dims=(0, 1),
            height=gpuph.Linear((0.1, -0.2)),
            border=border,
            superlevel=superlevel,
            unmatched=unmatched,
        )
        assert torch.autograd.gradcheck(loss_fn, (pred, target))


def test_superlevel_is_sublevel_of_the_negative() -> None:
    pred, target = torch.randn(2, 2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    up = gpuph.LocalizedPHLoss(window=10, height=gpuph.Linear((0.1, 0.2)), superlevel=True)
    down = gpuph.LocalizedPHLoss(window=10, height=gpuph.Linear((-0.1, -0.2)))
    assert torch.equal(up(pred, target), down(-pred, -target))


def test_reductions_agree() -> None:
    pred, target = torch.randn(2, 3, 1, 20, 26, generator=torch.Generator().manual_seed(0))
    values = gpuph.LocalizedPHLoss(window=10, height=None, reduction="none")(pred, target)
    assert values.shape == (3, 6)
    torch.testing.assert_close(
        values.sum(), gpuph.LocalizedPHLoss(window=10, height=None, reduction="sum")(pred, target)
    )
    torch.testing.assert_close(values.mean(), gpuph.LocalizedPHLoss(window=10, height=None)(pred, target))
    one = gpuph.LocalizedPHLoss(window=10, height=None, reduction="none")(
        pred[1:2, :, :10, 16:], target[1:2, :, :10, 16:]
    )
    torch.testing.assert_close(one[0, 0], values[1, 2])


def test_training_draws_anew_and_a_generator_repeats_the_run() -> None:
    def run(seed: int) -> list[float]:
        loss_fn = gpuph.LocalizedPHLoss(generator=torch.Generator().manual_seed(seed))
        return [float(loss_fn(BROKEN, CROSSING)) for _ in range(3)]

    assert run(0) == run(0) and len(set(run(0))) == 3 and run(0) != run(1)


def test_evaluation_has_one_fixed_draw() -> None:
    loss_fn = gpuph.LocalizedPHLoss(window=32).eval()
    value = loss_fn(BROKEN, CROSSING)
    assert torch.equal(loss_fn(BROKEN, CROSSING), value)
    assert torch.equal(gpuph.LocalizedPHLoss(window=32).eval()(BROKEN, CROSSING), value)
    both = torch.cat((BROKEN, BROKEN))  # nor does the batch's size matter
    torch.testing.assert_close(loss_fn(both, torch.cat((CROSSING, CROSSING))), value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(dtype: torch.dtype) -> None:
    pred = BROKEN.to(dtype).requires_grad_()
    loss_fn = gpuph.LocalizedPHLoss(height=gpuph.Linear((0.17, 0.013)))
    loss = loss_fn(pred, CROSSING)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, loss_fn(pred.detach().float(), CROSSING))
    loss.backward()
    assert pred.grad is not None and pred.grad.dtype == dtype and pred.grad.count_nonzero() > 0


def test_an_image_smaller_than_the_window_is_one_window() -> None:
    pred, target = torch.randn(2, 1, 1, 9, 70, generator=torch.Generator().manual_seed(0))
    assert gpuph.LocalizedPHLoss(window=64, reduction="none")(pred, target).shape == (1, 2)


def test_no_images_have_no_windows() -> None:
    nothing = torch.zeros(0, 1, 64, 64, requires_grad=True)
    assert gpuph.LocalizedPHLoss(reduction="none")(nothing, nothing).shape == (0, 1)
    gpuph.LocalizedPHLoss(reduction="sum")(nothing, nothing).backward()


def test_equal_inputs_lose_nothing_and_have_no_gradient() -> None:
    x = torch.randn(2, 1, 40, 40, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = gpuph.LocalizedPHLoss(window=20, dims=(0, 1))(x, x.detach())
    loss.backward()
    assert loss == 0 and x.grad is not None and not x.grad.any()


def test_gradient_is_repeatable_bit_for_bit() -> None:
    def gradient() -> Tensor:
        pred = torch.randn(2, 1, 100, 100, generator=torch.Generator().manual_seed(0)).requires_grad_()
        gpuph.LocalizedPHLoss(window=32, stride=20, height=gpuph.Linear((0.1, 0.2)))(
            pred, pred.detach().flip(2)
        ).backward()
        assert pred.grad is not None
        return pred.grad

    assert torch.equal(gradient(), gradient())


def test_traces_under_compile_without_a_graph_break() -> None:
    loss_fn = gpuph.LocalizedPHLoss(height=gpuph.Linear((0.2, 0.01)))
    compiled = torch.compile(loss_fn, backend="aot_eager", fullgraph=True)
    pred = BROKEN.clone().requires_grad_()
    loss = compiled(pred, CROSSING)
    loss.backward()
    assert torch.equal(loss.detach(), loss_fn(BROKEN, CROSSING)) and pred.grad is not None and pred.grad.any()


def test_evaluation_with_a_random_height_traces_without_a_graph_break() -> None:
    loss_fn = gpuph.LocalizedPHLoss().eval()
    compiled = torch.compile(loss_fn, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(BROKEN, CROSSING), loss_fn(BROKEN, CROSSING))


def test_the_default_height_traces_at_any_size() -> None:
    compiled = torch.compile(gpuph.LocalizedPHLoss(window=16), backend="aot_eager")
    for size in (16, 24):
        loss = compiled(BROKEN[..., 24 : 24 + size, :size], CROSSING[..., 24 : 24 + size, :size])
        assert loss.isfinite()


def test_module_can_be_copied_and_saved() -> None:
    loss_fn = gpuph.LocalizedPHLoss(window=32).eval()
    value = loss_fn(BROKEN, CROSSING)
    assert len(pickle.dumps(loss_fn)) < 2_000  # no tensors of a call, which might be of a device
    assert torch.equal(pickle.loads(pickle.dumps(loss_fn))(BROKEN, CROSSING), value)
    assert "window=32" in repr(loss_fn) and "RandomLinear(slope=0.2" in repr(loss_fn)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"window": 1}, ValueError, "window must be 2 or more pixels an axis, got 1"),
        ({"window": (64, 0)}, ValueError, "window must be 2 or more"),
        ({"window": 6.5}, TypeError, "window must be"),
        ({"stride": 0}, ValueError, "stride must be 1 or more pixels an axis, got 0"),
        ({"dims": (3,)}, ValueError, "dims must be"),
        ({"dims": (-1,)}, ValueError, "dims must be"),
        ({"dims": 1}, TypeError, "dims must be a sequence of ints, got 1"),
        ({"height": 0.2}, TypeError, "height must be one of"),
        ({"generator": 3}, TypeError, "generator must be a torch.Generator or None, got 3"),
        ({"construction": "t"}, ValueError, 'construction must be "T" or "V"'),
        ({"unmatched": "none"}, ValueError, "unmatched must be"),
        ({"reduction": "max"}, ValueError, "reduction must be"),
    ],
    ids=str,
)
def test_bad_settings_are_named(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gpuph.LocalizedPHLoss(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pred", "target", "error", "message"),
    [
        (CROSSING[0], CROSSING[0], ValueError, r"pred must have the shape \(B, 1, H, W\) or .* got \(1, 64, 64\)"),
        (CROSSING, CROSSING[..., :32], ValueError, r"target must have pred's shape .* got \(1, 1, 64, 32\)"),
        (CROSSING, CROSSING.to("meta"), ValueError, "target must be on pred's device cpu, got meta"),
        (CROSSING.int(), CROSSING, TypeError, "pred must be float16, .* got torch.int32"),
        (CROSSING, None, TypeError, "target must be a torch.Tensor, got NoneType"),
        (CROSSING * float("nan"), CROSSING, ValueError, "pred must have no NaN, but its window 0 has one"),
        (CROSSING, CROSSING * float("nan"), ValueError, "target must have no NaN"),
        (CROSSING[..., :0], CROSSING[..., :0], ValueError, "pred must have images of at least one pixel"),
        (CROSSING.expand(1, 3, 64, 64), CROSSING, ValueError, "pred must have the shape"),
    ],
    ids=["rank", "shape", "device", "dtype", "type", "nan", "nan in target", "empty", "channels"],
)
def test_bad_input_is_named(pred: Tensor, target: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gpuph.LocalizedPHLoss()(pred, target)


def test_settings_that_do_not_fit_the_input_are_named() -> None:
    with pytest.raises(ValueError, match=r"window must have one size for each of 2 axes, got \(8, 8, 8\)"):
        gpuph.LocalizedPHLoss(window=(8, 8, 8))(CROSSING, CROSSING)
    with pytest.raises(ValueError, match=r"dims must be distinct numbers from 0 to 1, got \[2\]"):
        gpuph.LocalizedPHLoss(dims=(2,))(CROSSING, CROSSING)


def test_images_of_many_sizes_are_not_all_remembered() -> None:
    fn = gpuph.LocalizedPHLoss(window=8)
    for size in range(8, 40):
        fn(torch.rand(1, 1, size, size, requires_grad=True), torch.rand(1, 1, size, size))
    assert len(fn._made) <= 8
