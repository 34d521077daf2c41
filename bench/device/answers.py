"""Answers of the device against those that the CPU gave when `bench.device.golden` ran, each asked for many times."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from . import golden
from .cases import Points, Windows, diagrams, losses, matchings
from .section import Day

RTOL = {torch.float32: 2e-5, torch.float64: 1e-10}  # of sums that are added up in another order

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
    """Check losses and their gradients: to rounding against the CPU, and bit for bit against themselves."""
    _, expected = golden.load()
    for case in losses(small=day.rehearse):
        pred, target = case.make()
        if golden.digest([pred, target]) != str(expected[f"{case.name}/input"]):
            day.report(case.name, "FAILED", reason="this machine makes other inputs")
            continue
        pred, target = pred.cuda(), target.cuda()
        found = case.step(pred, target)
        on_cpu = golden.expected_step(case, expected)
        differs = [
            name
            for name, ours, theirs in zip(("loss", "gradient"), found, on_cpu, strict=True)
            if not torch.allclose(ours.cpu(), theirs, rtol=RTOL[case.dtype], atol=RTOL[case.dtype], equal_nan=True)
        ]
        if any(not _equal(found, case.step(pred, target)) for _ in range(day.repeats - 1)):
            differs.append("runs")
        _tell(day, case.name, 1, differs)


def _check_exact(day: Day, cases: Sequence, group: Callable) -> None:
    """Compare hashes case by case, and report by groups, so that what is known is written soon."""
    expected, _ = golden.load()
    for name, some in itertools.groupby(sorted(cases, key=group), group):
        batch, differs = [*some], []
        for case in batch:
            inputs, run = on_device(case)
            if golden.digest(inputs) != expected[case.name]["input"]:
                differs.append(f"{case.name}: this machine makes other inputs")
                continue
            first = run()
            wrong = [what for what, tensors in first.items() if golden.digest(tensors) != expected[case.name][what]]
            if any(
                not all(_equal(first[what], again[what]) for what in first)
                for again in (run() for _ in range(day.repeats - 1))
            ):
                wrong.append("runs")
            differs += [f"{case.name}: {', '.join(wrong)}"] if wrong else []
        _tell(day, name, len(batch), differs)


def on_device(case: Windows | Points) -> tuple[list[Tensor], Callable[[], Answers]]:
    """The input of a case, and a function that asks the device for its answers."""
    if isinstance(case, Windows):
        x = case.make()
        on_device = x.cuda()
        return [x], lambda: golden.pairs(on_device, case.construction)
    a, b = case.make()
    a_there, b_there = (type(d)(*(part.cuda() for part in vars(d).values())) for d in (a, b))
    return [a.birth, a.death, b.birth, b.death], lambda: golden.partners(a_there, b_there, case.squared, case.solver)


def _equal(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Whether tensors are equal where they are, NaNs included."""
    return all(bool(((x == y) | ((x != x) & (y != y))).all()) for x, y in zip(a, b, strict=True))


def _tell(day: Day, name: str, cases: int, differs: Sequence[str]) -> None:
    if differs:
        day.report(name, "FAILED", reason="; ".join(differs)[:2000], cases=cases, repeats=day.repeats)
    else:
        day.report(name, "equal", cases=cases, repeats=day.repeats)
