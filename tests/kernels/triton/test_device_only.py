"""The launch code never waits for the device: it runs on tensors without data, and its launches are counted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import gpuph
from gpuph import ops
from gpuph.kernels import Comparison, Query, Tiling
from gpuph.ops.define import implementations
from support.engines import stubbed

pytest.importorskip("triton")
pytestmark = pytest.mark.device_only

# Kernels for volumes: critical cells, then the cells that are left for loops, the boundaries of squares, and their
# reduction in registers and in memory.
CELLS = ["volume gradient", "volume merge"]
LOOPS = ["volume mark", "volume boundaries", "volume reduce", "volume reduce_in_memory"]


def stages(dims: tuple[int, ...], construction: str = "T") -> list[str]:
    """Return the kernels that persistence of images launches: critical cells, minima, maxima, sort keys, columns."""
    minima, maxima = (1 in dims, 0 in dims) if construction == "T" else (0 in dims, 1 in dims)
    merges = ["merge"] * minima + ["ascents", "merge"] * maxima
    return [f"image {stage}" for stage in ("gradient", *merges, "pairs", "merge_runs")]


class Counted(TorchDispatchMode):
    """Record PyTorch's operators that launch something, which are all but views and allocations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.name()
        if func.namespace == "gpuph":  # count the PyTorch operators that it calls
            with self:
                return func.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.Meta), *args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        # An operator that usually returns a view may also copy, such as a reshape of a noncontiguous tensor.
        copies = views and isinstance(out, torch.Tensor) and _storage(out) != _storage(args[0])
        nothing = "empty" in name or name.startswith(("aten::detach", "aten::promote_types", "prim::"))
        if not nothing and (copies or not views):
            self.names.append(name)
        return out


def _storage(x: torch.Tensor) -> int:
    return x.untyped_storage()._cdata


@pytest.fixture(autouse=True)
def _launchers_on_meta() -> Iterator[None]:
    """Register the implementations for CUDA on the device "meta" as well, where only shapes are known."""
    with torch.library._scoped_library("gpuph", "IMPL") as library:
        for name, implementation in implementations.items():
            library.impl(name, implementation, "Meta", allow_override=True)
        yield


@pytest.mark.parametrize("n", [1, 64, 4096])
@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (181, 203)])
def test_persistence_launches_do_not_depend_on_the_batch(n: int, shape: tuple[int, int]) -> None:
    for dims, construction in (((0, 1), "T"), ((1,), "T"), ((1, 0), "V")):
        x = torch.empty(n, *shape, device="meta", requires_grad=True)
        with stubbed() as launches, Counted() as counted:
            diagrams = gpuph.persistence(x, dims, construction)
        assert [launch.stage for launch in launches] == stages(dims, construction)
        assert counted.names == ["aten::zeros"] + ["aten::clone"] * (1 + len(dims))  # a copy for each gradient
        assert all(diagram.birth.shape[0] == n and diagram.birth.requires_grad for diagram in diagrams.values())


@pytest.mark.parametrize("n", [1, 64])
@pytest.mark.parametrize("size", [1, 34, 66, 512])
def test_launches_of_volumes_do_not_depend_on_the_batch(n: int, size: int) -> None:
    """One launch lists pairs, one sorts runs of 32, and each further one makes runs eight times as long."""
    merges = {1: 1, 34: 4, 66: 5, 512: 8}[size]
    for dims, construction, dtype in (
        ((0, 1, 2), "T", torch.float32),
        ((1,), "T", torch.float64),
        ((2, 0), "V", torch.float32),
    ):
        x = torch.empty(n, size, size, size, device="meta", dtype=dtype, requires_grad=True)
        with stubbed() as launches, Counted() as counted:
            diagrams = gpuph.persistence(x, dims, construction)
        names = [launch.stage for launch in launches]
        first = CELLS + (LOOPS if 1 in dims else []) + ["volume pairs", "sort_runs"]
        assert names[: len(first)] == first
        assert set(names[len(first) :]) == {"merge_runs"} and len(names) <= len(first) + merges
        assert counted.names == ["aten::zeros"] + ["aten::clone"] * (1 + len(dims))  # a copy for each gradient
        assert all(diagram.birth.shape[0] == n and diagram.birth.requires_grad for diagram in diagrams.values())


@pytest.mark.parametrize(("shape", "dtype", "merges"), [((2048, 2048), torch.float32, 6), ((64, 64), torch.float64, 2)])
@pytest.mark.parametrize("n", [1, 64])
def test_pairs_that_exceed_a_sort_key_are_sorted_like_those_of_volumes(
    n: int, shape: tuple[int, int], dtype: torch.dtype, merges: int
) -> None:
    x = torch.empty(n, *shape, device="meta", dtype=dtype)
    with stubbed() as launches, Counted() as counted:
        gpuph.persistence(x, dims=(1,))
    lists = ["image list_pairs", "sort_runs"] + ["merge_runs"] * merges
    assert [launch.stage for launch in launches] == stages((1,))[:-2] + lists
    assert counted.names == ["aten::zeros", "aten::clone"]


def test_empty_batch_launches_nothing() -> None:
    with stubbed() as launches:
        gpuph.persistence(torch.empty(0, 8, 8, device="meta"))
        gpuph.persistence(torch.empty(0, 8, 8, 8, device="meta"))
        gpuph.truncated_distance_map(torch.empty(0, 1, 8, 8, dtype=torch.bool, device="meta"), 5.0)
    assert launches == []


@pytest.mark.parametrize(("sizes", "solver"), [((50, 9), "auto"), ((3000, 2500), "auto"), ((5, 9), "auction")])
def test_matching_launches_do_not_depend_on_the_batch(sizes: tuple[int, int], solver: str) -> None:
    """A second launch handles windows of thousands of points, if diagrams are wide enough to hold them."""
    for n in (1, 5000):
        leaves = [torch.empty(n, size, device="meta", requires_grad=True) for size in sizes for _ in range(2)]
        index, count = (torch.empty(shape, dtype=torch.int64, device="meta") for shape in ((n, 1), (n,)))
        a, b = gpuph.Diagram(*leaves[:2], index, index, count), gpuph.Diagram(*leaves[2:], index, index, count)
        with stubbed() as launches, Counted() as counted:
            matching = gpuph.match(a, b, solver=solver)
        assert [launch.stage for launch in launches] == ["matching match"] * (1 + (min(sizes) >= 2000)) + [
            "matching cost"
        ]
        assert counted.names == []
        matching.cost.sum().backward()
        assert all(leaf.grad is not None for leaf in leaves)


def test_empty_diagrams_are_matched_on_the_device() -> None:
    points, count = torch.empty(3, 0, device="meta"), torch.empty(3, dtype=torch.int64, device="meta")
    nothing = gpuph.Diagram(points, points, points, points, count)
    with stubbed() as launches:
        gpuph.match(nothing, nothing)
    assert [launch.stage for launch in launches] == ["matching match", "matching cost"]


@pytest.mark.parametrize("n", [1, 64])
@pytest.mark.parametrize("image", [(1, 1), (512, 500), (32, 33, 34)])
def test_distance_maps_take_one_launch_per_axis(n: int, image: tuple[int, ...]) -> None:
    mask = torch.empty(n, 1, *image, dtype=torch.bool, device="meta")
    for truncation, spacing in ((20.0, 1.0), (1e9, 2.0)):
        with stubbed() as launches, Counted() as counted:
            found = gpuph.truncated_distance_map(mask, truncation, spacing=spacing)
        assert [launch.kernel.__name__ for launch in launches] == ["_distances_in_rows"] + ["_minima"] * (
            len(image) - 1
        )
        assert counted.names == [] and found.shape == mask.shape and found.dtype == torch.float32


REGIONS = ["unite", "find", "number"]
MAXIMIN = ["order", "join", "find_parents", "add_up", "lay_out", "position", "count"]


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("image", [(256, 200), (96, 50, 48)])
def test_connectivity_loss_stays_on_the_device(batch: int, image: tuple[int, ...]) -> None:
    pred, target = (torch.empty(batch, 1, *image, device="meta") for _ in range(2))
    pred.requires_grad_()
    with stubbed() as forward, Counted() as counted_forward, warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = gpuph.ConnectivityLoss()(pred, target)
    with stubbed() as backward, Counted() as counted_backward:
        loss.backward()
    names = [launch.stage for launch in forward]
    assert names == ["spread"] * len(image) + REGIONS + 2 * MAXIMIN
    assert backward == [] and not {"aten::_to_copy"} & {*counted_backward.names}
    assert not any("cpu" in name or "item" in name or "nonzero" in name for name in counted_forward.names)
    assert counted_forward.names.count("aten::sort.stable") + counted_forward.names.count("aten::sort") == 6
    assert pred.grad is not None and pred.grad.shape == pred.shape


STEEPEST = ["volume steepest_gradient", "volume merge", *LOOPS]
CURVES, SURFACES = ["volume select", "prune", "volume mark_paths"], ["volume mark_surfaces"]
SKELETONS = {
    "images": ["image steepest_gradient", "image merge", "image merge", "image select", "prune", "image mark_paths"],
    "curves": STEEPEST + CURVES,
    "surfaces": STEEPEST + SURFACES,
    "curves and surfaces": STEEPEST + CURVES + SURFACES,
}


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("name", SKELETONS)
def test_morse_skeleton_loss_stays_on_the_device(name: str, batch: int) -> None:
    image = (256, 200) if name == "images" else (64, 50, 48)
    manifolds = {"surfaces": (2,), "curves and surfaces": (1, 2)}.get(name, (1,))
    pred, target = (torch.empty(batch, 1, *image, device="meta") for _ in range(2))
    pred.requires_grad_()
    with stubbed() as forward, Counted() as counted_forward, warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = gpuph.MorseSkeletonLoss(base=lambda p, t: (p - t) ** 2, manifolds=manifolds)(pred, target)
    with stubbed() as backward:
        loss.backward()
    assert [launch.stage for launch in forward] == SKELETONS[name]
    assert backward == []
    assert not any("cpu" in name or "item" in name or "nonzero" in name for name in counted_forward.names)
    assert pred.grad is not None and pred.grad.shape == pred.shape


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("dims", [(1,), (0, 1)])
def test_loss_and_backward_stay_on_the_device(batch: int, dims: tuple[int, ...]) -> None:
    pred = torch.empty(batch, 1, 256, 256, device="meta", requires_grad=True)
    target = torch.empty(batch, 1, 256, 256, device="meta")
    loss_fn = gpuph.LocalizedPHLoss(dims=dims)
    with stubbed() as forward, Counted() as counted_forward:
        loss = loss_fn(pred, target)
    with stubbed() as backward, Counted() as counted_backward:
        loss.backward()
    names = [launch.stage for launch in forward]
    assert names == ["copy_windows", "fill_frames", *stages(dims)] + ["matching matched_cost"] * len(dims)
    assert [launch.stage for launch in backward] == ["scatter_slopes"] * len(dims)
    assert (len(counted_forward.names), len(counted_backward.names)) == (10 + len(dims), 2 + len(dims))
    assert pred.grad is not None and pred.grad.shape == pred.shape


@pytest.mark.parametrize(("solver", "by_auction"), [("auto", [False]), ("augment", [False]), ("auction", [True])])
def test_loss_matches_by_the_solver_it_is_asked_for(solver: str, by_auction: list[bool]) -> None:
    maps = [torch.empty(2, 1, 64, 64, device="meta") for _ in range(2)]
    with stubbed() as launches:
        gpuph.LocalizedPHLoss(solver=solver)(*maps)
    matching = [launch for launch in launches if launch.stage == "matching matched_cost"]
    assert [launch.arguments["AUCTION"] for launch in matching] == by_auction


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("dims", [(1,), (0, 1)])
def test_gradients_in_whole_paths_take_one_launch_more_and_stay_on_the_device(
    dims: tuple[int, ...], normalise: bool, batch: int
) -> None:
    pred, target = (torch.empty(batch, 1, 256, 200, device="meta") for _ in range(2))
    pred.requires_grad_()
    for loss_fn in (
        gpuph.LocalizedPHLoss(dims=dims, spread="path", normalise=normalise),
        gpuph.TopoLoss(window=64, dims=dims, spread="path", normalise=normalise),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with stubbed(), Counted() as forward:
                loss = loss_fn(pred, target)
            with stubbed() as launches, Counted() as backward:
                loss.backward()
        assert [launch.stage for launch in launches] == ["spread find_carriers", "spread add_slopes"] * len(dims)
        names = forward.names + backward.names
        assert not any("cpu" in name or "item" in name or "nonzero" in name for name in names)
        assert "aten::_to_copy" not in names
        assert pred.grad is not None and pred.grad.shape == pred.shape


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize(
    ("window", "steps"), [((64, 64), 16), ((300, 257), 64), ((16, 16, 16), 16), ((48, 48, 48), 64)]
)
def test_launches_for_skeletons_of_masks_depend_on_the_size_of_windows_only(
    window: tuple[int, ...], steps: int, batch: int
) -> None:
    pred, target = (torch.empty(batch, 1, *window, device="meta") for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with stubbed() as launches, Counted() as counted:
            gpuph.SkeletonRecallLoss()(pred, target)
    cavities = ["spread", "unite", "find", "volume measure", "volume fill", "unite", "find"] * (len(window) == 3)
    peeled = ["peel_tiles"] * (steps * len(window)) + ["peel"]
    names = [launch.stage for launch in launches]
    assert names == [*cavities, "create_cells", *peeled, "restore_ends", "mark_pixels"]
    assert not any(word in name for name in counted.names for word in ("cpu", "item", "nonzero"))


@pytest.mark.parametrize("batch", [1, 512])
@pytest.mark.parametrize(("construction", "comparison"), [("T", "union"), ("V", "union"), ("T", "intersection")])
def test_betti_matching_launches_do_not_depend_on_the_batch(batch: int, construction: str, comparison: str) -> None:
    images = *(torch.empty(batch, 64, 64, device="meta") for _ in range(2)), None
    tiling, top = Tiling((64, 64), (64, 64), (64, 64), border=True), construction == "T"
    for dim in range(2):
        with stubbed() as launches, Counted() as counted:
            query, compared = Query((dim,), top, 0.0, 1089), Comparison(comparison == "intersection")
            found, ((a, b),) = ops.matched_persistence(images, tiling, query, compared)
        pairs = ["copy_windows", "fill_frames", *stages((dim,), construction)]
        maxima, at_both = (dim == 0) == top, (dim == 1) == (comparison == "intersection")
        own = ["ascents", "merge"] if maxima else ["merge"]
        linked = ["lead", "merge_images", "list_partners", "link", "link_named"][: 4 if at_both else 5]
        windows = ["compare", "image gradient", "image gradient"]
        assert [launch.stage for launch in launches] == pairs + windows + [f"image {stage}" for stage in own + linked]
        # Counters and hints: of the pairs, and again of the images, of h, and of the classes; and the status.
        assert sorted(counted.names) == ["aten::clone"] + ["aten::zeros"] * 4
        assert a.shape == b.shape == (batch, 1089) and a.dtype == torch.int64
        assert found.pairs[0].index.shape == (2 * batch, 2, 1089)


def test_betti_matching_of_volumes_raises() -> None:
    x, tiling = torch.empty(1, 4, 4, 4, device="meta"), Tiling((4, 4, 4), (4, 4, 4), (4, 4, 4), border=True)
    with pytest.raises(NotImplementedError, match="volumes"):
        ops.matched_persistence((x, x, None), tiling, Query((0,), True, 0.0, None), Comparison(False))


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("dims", [(1,), (0, 1, 2)])
def test_loss_of_volumes_and_backward_stay_on_the_device(batch: int, dims: tuple[int, ...]) -> None:
    pred = torch.empty(batch, 1, 64, 64, 64, device="meta", requires_grad=True)
    target = torch.empty(batch, 1, 64, 64, 64, device="meta")
    with stubbed() as forward, Counted() as counted_forward:
        loss = gpuph.LocalizedPHLoss(window=32, dims=dims)(pred, target)
    with stubbed() as backward, Counted() as counted_backward:
        loss.backward()
    names = [launch.stage for launch in forward]
    merges = ["merge_runs"] * names.count("merge_runs")
    pairs = [*CELLS, *LOOPS, "volume pairs", "sort_runs", *merges, *["translate_pixels"] * len(dims)]
    matching = ["matching matched_cost"] * 2  # diagrams are wide enough for thousands of points
    assert names == ["copy_windows", "fill_frames", *pairs] + matching * len(dims)
    assert [launch.stage for launch in backward] == ["scatter_slopes"] * len(dims)
    assert (len(counted_forward.names), len(counted_backward.names)) == (10 + len(dims), 2 + len(dims))
    assert pred.grad is not None and pred.grad.shape == pred.shape
