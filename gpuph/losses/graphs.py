"""CUDA graphs of a loss: its launches are recorded once for each kind of input, and replayed with one launch.

A graph reads and writes memory of its own, so maps are copied in, and values and gradients are copied out. What the
backward pass needs stays in that memory. A forward pass therefore leases its graph, and until the backward pass has
released it, another call takes another graph.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .. import debug
from ..ops.backend import by_triton, current_device
from ..ops.cost import forbid_second_derivative

MOST = 8  # the most graphs of a loss
_REMEMBERED = 64  # kinds of input that were seen once
_Key = tuple[object, ...]
Compute = Callable[[Tensor, Tensor], Tensor]


class Graphs:
    """The graphs of one loss."""

    def __init__(self) -> None:
        self._by_key: dict[_Key, list[_Graph]] = {}
        self._seen: dict[_Key, None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(len(graphs) for graphs in self._by_key.values())

    def run(self, compute: Compute, pred: Tensor, target: Tensor, settings: _Key) -> Tensor:
        """Return `compute(pred, target)`, which is differentiable once with respect to pred.

        Parameters
        ----------
        compute : callable
            Function of two tensors that launches kernels and never waits for them.
        pred, target : Tensor
            Its arguments.
        settings : tuple
            What else the launches depend on.
        """
        if not _can_be_captured(pred, target):
            return compute(pred, target)
        differentiable = pred.requires_grad and torch.is_grad_enabled()
        kind = (pred.shape, pred.dtype, target.dtype, pred.device, differentiable, torch.is_inference_mode_enabled())
        key = (*kind, _stream(pred.device), *settings)
        graph = self._lease(key, compute, pred, target, differentiable)
        if graph is None:
            return compute(pred, target)
        values: Tensor = _Replay.apply(graph, pred, target)  # type: ignore[no-untyped-call]
        return values

    def _lease(self, key: _Key, compute: Compute, pred: Tensor, target: Tensor, differentiable: bool) -> _Graph | None:
        """Lease a graph that is not in use, or a new one; return None if there is none and none may be captured."""
        with self._lock:
            graphs = self._by_key.get(key, [])
            for graph in graphs:
                if graph.lease():
                    return graph
            if key not in self._seen:  # an input whose kind never comes again is not worth a graph
                if len(self._seen) == _REMEMBERED:
                    self._seen.pop(next(iter(self._seen)))
                self._seen[key] = None
                return None
            if len(self) >= MOST:
                return None
            with current_device(pred), _random_numbers_as_before(pred.device):
                graph = _Graph(compute, pred, target, differentiable)
            self._by_key.setdefault(key, []).append(graph)
            return graph

    def __reduce__(self) -> tuple[type[Graphs], tuple[()]]:
        return Graphs, ()  # graphs cannot be copied or saved


class _Graph:
    """The recorded forward and backward passes for one kind of input, and their memory."""

    def __init__(self, compute: Compute, pred: Tensor, target: Tensor, differentiable: bool) -> None:
        self._is_free = False  # the call that captures it has the first lease
        self.pred = torch.empty_like(pred, memory_format=torch.contiguous_format).copy_(pred.detach())
        self.target = torch.empty_like(target, memory_format=torch.contiguous_format).copy_(target)
        self.pred.requires_grad_(differentiable)

        def forward() -> Tensor:
            with torch.set_grad_enabled(differentiable):
                return compute(self.pred, self.target)

        def backward() -> Tensor:
            # Replays may follow one another, so what the forward pass has saved must outlive this.
            (gradient,) = torch.autograd.grad(self.values, self.pred, self.grad, retain_graph=True)
            return gradient

        # Autograd runs the backward pass on the stream of the forward pass, so both are captured on that stream.
        with _side_stream(pred.device) as stream:
            self.values = forward()
            self.grad = torch.zeros_like(self.values)
            if differentiable:
                backward()
        self._forward = Recording(forward, stream)
        self.values = self._forward.result
        self._backward = Recording(backward, stream, self._forward) if differentiable else None

    def lease(self) -> bool:
        """Reserve the graph for a forward pass; return False if it is in use."""
        was_free, self._is_free = self._is_free, False
        return was_free

    def release(self) -> None:
        """Let the graph be used again."""
        self._is_free = True

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the values of an input."""
        with torch.no_grad():
            self.pred.copy_(pred)
            self.target.copy_(target)
            self._forward.replay()
            return self.values.detach().clone()

    def backward(self, grad: Tensor) -> Tensor:
        """Return the gradient of the input of the last forward pass."""
        assert self._backward is not None
        self.grad.copy_(grad)
        self._backward.replay()
        gradient: Tensor = self._backward.result.clone()
        return gradient


class Recording:
    """Launches that are recorded once and replayed, on the same memory."""

    def __init__(self, run: Callable[[], object], stream: torch.cuda.Stream, before: Recording | None = None) -> None:
        """Record the launches of a function, which may read the memory of a recording that was made before."""
        self._graph = torch.cuda.CUDAGraph()
        pool = None if before is None else before._graph.pool()
        # In this mode, other threads, such as those that pin memory for a data loader, do not end the capture.
        with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            self.result: Any = run()

    def replay(self) -> None:
        """Launch all of it."""
        self._graph.replay()


class _Replay(torch.autograd.Function):
    """A forward pass of a leased graph. The lease ends with the tensor that is saved for the backward pass."""

    @staticmethod
    def forward(ctx: Any, graph: _Graph, pred: Tensor, target: Tensor) -> Tensor:
        ctx.graph, lease = graph, torch.empty(0)
        weakref.finalize(lease, graph.release).atexit = False
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(lease)
        return graph.forward(pred, target)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        forbid_second_derivative()
        ctx.saved_tensors  # noqa: B018 -- raises if they were released
        graph: _Graph = ctx.graph
        return None, graph.backward(grad), None


def _can_be_captured(pred: Tensor, target: Tensor) -> bool:
    """Return whether a call with these tensors, here and now, may be recorded and replayed."""
    return (
        all(type(x) in (Tensor, torch.nn.Parameter) for x in (pred, target))
        and _on_graphs(pred.device)
        and pred.numel() > 0
        and by_triton(pred)
        and not torch.is_anomaly_enabled()  # which waits for the device in order to find NaN
        and not (target.requires_grad or debug.is_debugging() or torch.is_autocast_enabled(pred.device.type))
        and not (is_capturing(pred.device) or _saved_tensors_are_replaced())
    )


def _saved_tensors_are_replaced() -> bool:
    """Return whether hooks may replace saved tensors, as those of a checkpoint do, which repeats the forward pass."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _on_graphs(device: torch.device) -> bool:
    """Return whether work of a device can be captured."""
    return device.type == "cuda"


def is_capturing(device: torch.device) -> bool:
    """Return whether launches on a device are being captured now."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _stream(device: torch.device) -> int:
    """Return the current stream of a device: graphs are replayed there, one after the other."""
    return torch.cuda.current_stream(device).cuda_stream


@contextlib.contextmanager
def _side_stream(device: torch.device) -> Iterator[torch.cuda.Stream]:
    """Run on a new stream, which captures are then made on: work must run once before it is captured."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield stream
    torch.cuda.current_stream(device).wait_stream(stream)


def _random_numbers_as_before(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Make random numbers go on as if none had been drawn inside the context."""
    on_cuda = [device] if device.type == "cuda" else []
    return torch.random.fork_rng(devices=on_cuda)
