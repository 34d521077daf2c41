"""Compare answers of the device, each computed many times, with those of the CPU that `bench.device.golden` wrote."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from . import golden
from .cases import Maps, Points, Windows, diagrams, losses, matchings
from .section import Day

RTOL = {torch.float32: 2e-5, torch.float64: 1e-10}  # of sums that are added in another order

Answers = dict[str, list[Tensor]]


def images(day: Day) -> None:
    """Check the diagrams of images."""
    _check_exact(day, diagrams(2, small=day.rehearse), lambda case: case.kind)


def volumes(day: Day) -> None:
    """Check the diagrams of volumes."""
    _check_exact(day, diagrams(3, small=day.rehearse), lambda case: case.kind)


def matching(day: Day) -> None:
    """Check matchings."""
    _check_exact(day, matchings(small=day.rehearse), lambda case: f"{case.solver}, K {max(map(max, case.sizes))}")


def losses_section(day: Day) -> None:
    """Check losses and gradients: equal to the CPU's up to rounding, and to their own repetitions bit for bit."""
    _, expected = golden.load()
    for case in losses(small=day.rehearse):
        with day.isolated(case.name):
            _tell(day, case.name, _differing(case, expected, day.repeats), 1)


def _differing(case: Maps, expected: Mapping[str, np.ndarray], repeats: int) -> list[str]:
    """Return the names of the answers to a case that differ from the expected ones, or between runs."""
    pred, target = case.make()
    if golden.digest([pred, target]) != str(expected[f"{case.name}/input"]):
        return ["this machine makes other inputs"]
    pred, target = pred.cuda(), target.cuda()
    found, on_cpu = case.step(pred, target), golden.expected_step(case, expected)
    pairs = [*zip(("loss", "gradient"), found, on_cpu, strict=True)]
    if case.kind == "with a nan":
        pairs = pairs[:1]
    differs = [name for name, ours, theirs in pairs if not _close(ours.cpu(), theirs)]
    if any(not _equal(found, case.step(pred, target)) for _ in range(repeats - 1)):
        differs.append("runs")
    return differs


def _close(ours: Tensor, theirs: Tensor) -> bool:
    """Whether tensors agree up to the rounding of sums, which is relative to the largest finite value."""
    finite = theirs[theirs.isfinite()].abs()
    most = float(finite.max()) if finite.numel() else 0.0
    rtol = RTOL[theirs.dtype]
    return torch.allclose(ours, theirs, rtol=rtol, atol=rtol * most, equal_nan=True)


def _check_exact(day: Day, cases: Sequence, group: Callable) -> None:
    """Compare hashes case by case, and report them in groups, so that results are written early."""
    expected, _ = golden.load()
    for name, some in itertools.groupby(sorted(cases, key=group), group):
        batch, differs = [*some], []
        for case in batch:
            with day.isolated(case.name):
                if wrong := _differing_hashes(case, expected[case.name], day.repeats):
                    differs.append(f"{case.name}: {', '.join(wrong)}")
        _tell(day, name, differs, len(batch))


def _differing_hashes(case: Windows | Points, expected: golden.Hashes, repeats: int) -> list[str]:
    """Return the names of the answers to a case whose hashes differ from the expected ones, or between runs."""
    inputs, run = on_device(case)
    if golden.digest(inputs) != expected["input"]:
        return ["this machine makes other inputs"]
    first = run()
    wrong = [what for what, tensors in first.items() if golden.digest(tensors) != expected[what]]
    runs = (run() for _ in range(repeats - 1))
    if any(not all(_equal(first[what], again[what]) for what in first) for again in runs):
        wrong.append("runs")
    return wrong


def on_device(case: Windows | Points) -> tuple[list[Tensor], Callable[[], Answers]]:
    """Return the input of a case on the CPU, and a function that computes its answers on the device."""
    if isinstance(case, Windows):
        x = case.make()
        on_device = x.cuda()
        return [x], lambda: golden.pairs(on_device, case.construction)
    a, b = case.make()
    a_there, b_there = (type(d)(*(part.cuda() for part in vars(d).values())) for d in (a, b))
    return [a.birth, a.death, b.birth, b.death], lambda: golden.partners(
        a_there, b_there, case.solver, squared=case.squared
    )


def _equal(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Whether tensors are equal, with NaNs equal to each other, compared on their device."""
    return all(bool(((x == y) | ((x != x) & (y != y))).all()) for x, y in zip(a, b, strict=True))


def _tell(day: Day, name: str, differs: Sequence[str], cases: int) -> None:
    if differs:
        day.report(name, "FAILED", reason="; ".join(differs)[:2000], cases=cases, repeats=day.repeats)
    else:
        day.report(name, "equal", cases=cases, repeats=day.repeats)
