"""The pages of bench/results agree with the JSON files that they quote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import bench
from bench.paper import published

(ROOT,) = map(Path, bench.__path__)
RESULTS = ROOT / "results"
PAGES = sorted(RESULTS.glob("*.md"))
SCORES = re.compile(r"((?:\| -?\d+\.\d\d ± \d+\.\d\d ){5})\|$", re.MULTILINE)

# The tables of scores on each page, in order: a JSON file, and the metric that chose the cuts, or None for fixed cuts.
TABLES: dict[str, list[tuple[str, str | None]]] = {
    "table1.md": [("table1", None), ("table1", "APLS"), ("table1_massachusetts", None)],
    "table3.md": [
        *(("table3", None), ("table3", "APLS")),
        *(("table3_dmax8", None), ("table3_dmax15", None), ("table3_dmax8", "APLS"), ("table3_dmax15", "APLS")),
    ],
    "ablations.md": [("table5", None), ("table6", None), ("table7", None)],
    "ranking.md": [("steadiness", None)],
    "decoys.md": [("decoys", None), ("decoys", "APLS"), ("few_decoys", None), ("few_decoys", "APLS")],
}


def scores_of(name: str, chosen_by: str | None) -> list[list[float]]:
    """Return mean and deviation of each metric, one row per method."""
    methods = json.loads((RESULTS / f"{name}.json").read_text())["methods"].values()
    tables = [method["cut_chosen_by"][chosen_by] if chosen_by else method for method in methods]
    return [[m[part] for m in table["scores"].values() for part in ("mean", "deviation")] for table in tables]


@pytest.mark.parametrize("page", TABLES)
def test_tables_of_scores_equal_their_files(page: str) -> None:
    shown = [[float(x) for x in re.findall(r"-?\d+\.\d+", row)] for row in SCORES.findall((RESULTS / page).read_text())]
    saved = [row for table in TABLES[page] for row in scores_of(*table)]
    assert len(shown) == len(saved)
    for row, expected in zip(shown, saved, strict=True):
        assert row == pytest.approx(expected, abs=0.00501)  # two decimals


PAGE_OF = {"table1": "table1", "table3": "table3", "table5": "ablations", "table6": "ablations", "table7": "ablations"}


def table_of(name: str) -> list[str]:
    """Return the lines of the first table of scores on the page of a table of the paper, or in its section."""
    text = (RESULTS / f"{PAGE_OF.get(name, 'published')}.md").read_text()
    if PAGE_OF.get(name) != name:
        text = re.split(rf"^## Table {name[-1]}:", text, flags=re.M)[1]
    (table, *_) = re.findall(r"^\|[^\n]*\| APLS \|[^\n]*\n\|---[^\n]*\n((?:\|[^\n]*\n)*)", text, re.M)
    return table.splitlines()


@pytest.mark.parametrize("name", published.SHOWN)
def test_rows_of_the_paper_stand_below_ours_and_equal_its_numbers(name: str) -> None:
    lines, last = table_of(name), -1
    for ours, theirs in published.SHOWN[name]:
        if ours is not None:
            (last,) = (i for i, line in enumerate(lines) if line.startswith(f"| {ours} |"))
        last += 1
        assert lines[last] == published.row(name, theirs)
    assert (
        sum("*paper: " in line for line in lines)
        == len(published.SHOWN[name])
        == len(published.load()["tables"][name]["rows"])
    )


@pytest.mark.parametrize("name", published.ALONE)
def test_tables_that_were_not_run_have_the_published_rows(name: str) -> None:
    assert table_of(name) == [published.row(name, theirs) for theirs in published.load()["tables"][name]["rows"]]


def rounded(x: float) -> str:
    """Format a time with one decimal below 100, and two below 10."""
    return f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}"


def test_times_of_diagrams_equal_their_files() -> None:
    text, text_of_volumes = ((RESULTS / f"{name}.md").read_text() for name in ("persistence", "volume_persistence"))
    images, volumes = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("persistence", "volume_persistence")
    )
    for kind in ("roads", "smooth", "noise"):
        for time in images[kind]["microseconds a window"].values():
            assert f"| {time:.1f} " in text or f"| {time:.0f} " in text, (kind, time)
    for title, times in volumes["milliseconds a window"].items():
        (row,) = re.findall(rf"^\| {re.escape(title)} \| (.*) \|$", text_of_volumes, re.M)
        assert [cell.partition(" ")[0] for cell in row.split(" | ")] == [rounded(time) for time in times.values()]


def test_times_of_betti_matchings_equal_their_file() -> None:
    text = (RESULTS / "betti_matching.md").read_text()
    for row in json.loads((RESULTS / "betti_matching.json").read_text())["rows"]:
        times = f"{row['gpuph ms']:.1f} | {row['diagrams ms']:.1f} | {row['topolosses ms']:.0f}"
        assert f"| {row['windows']} | {times} ({row['topolosses / gpuph']:.0f} x) |" in text


def test_times_of_representatives_equal_their_file() -> None:
    text = (RESULTS / "representatives.md").read_text()
    for row in json.loads((RESULTS / "representatives.json").read_text())["rows"]:
        times = [f"{row[f'{kind} / diagrams']:.2f}" for kind in ("components", "boundaries", "cavities")]
        assert f"| {row['windows']} | {row['diagrams us']:,.1f} | {' | '.join(times)} |" in text


def test_predictions_for_a_gpu_equal_their_file() -> None:
    text = (RESULTS / "gpu_predictions.md").read_text()
    results = json.loads((RESULTS / "device_cost.json").read_text())
    rows = re.findall(r"^\|[^|]*\| [\d,]+ \| (.* \| `.*) \|$", text, re.M)
    for row, (*_, case) in zip(rows, results["cases"].values(), strict=True):
        (key,) = (key for key in case if key.startswith("predicted, "))
        suffix, whole = key.removeprefix("predicted"), case[key]
        times = {name: stage[f"us with latency{suffix}"] for name, stage in case["stages"].items()}
        longest = max(times, key=lambda name: times[name])
        assert row.split(" | ") == [
            f"{whole['us']:,.0f}",
            f"{whole['us with latency']:,.0f}",
            f"{whole['ideal us']:.1f}",
            f"`{longest}`, {times[longest]:,.0f}",
            f"{case['scratch bytes']:.0f}",
        ]
    for call in results["host"]["calls"].values():
        assert f"| {call['host us a call']:.0f} | {call['launches']} |" in text


def test_figure_4_equals_its_file() -> None:
    rows = re.findall(
        r"^\| (half squared|distance) \| (whole crop|64) \| (\d+) \| (.*) \|$",
        (RESULTS / "figures.md").read_text(),
        re.M,
    )
    saved = {
        (c["unmatched"], c["window"], c["dmax"], "Betti" if c["matching"] == "Betti" else c["slope"]): c["falls"]
        for c in json.loads((RESULTS / "fig4.json").read_text())["conditions"]
        if c["directions"] == 1 and c["pixel"] == 1.0
    }
    assert len(rows) == len({condition[:3] for condition in saved})
    for unmatched, window, dmax, cells in rows:
        columns = (0.0, 0.1, 0.2, 0.4, 0.8, "Betti")
        keys = [(unmatched.replace(" ", "_"), window, float(dmax), column) for column in columns]
        shown = [None if cell == "" else float(cell) for cell in cells.split(" | ")]
        assert [cell is None for cell in shown] == [key not in saved for key in keys]
        expected = [saved[key] for key in keys if key in saved]
        assert [cell for cell in shown if cell is not None] == pytest.approx(expected, abs=0.00501)


def test_reductions_of_figure_4_equal_its_file() -> None:
    text = (RESULTS / "figures.md").read_text()
    shown = re.findall(r"^\| (1|0\.6) \| (half squared|distance) \| (whole crop|64) \| (.*) \|$", text, re.M)
    saved: dict[tuple[float, str, str], dict[float, float]] = {}
    for row in json.loads((RESULTS / "fig4.json").read_text())["reductions"]:
        times = row["thresholding"] / row["localized"]
        saved.setdefault((row["pixel"], row["unmatched"], row["window"]), {})[row["dmax"]] = times
    assert len(shown) == len(saved) == 8
    for pixel, unmatched, window, cells in shown:
        by_dmax = saved[float(pixel), unmatched.replace(" ", "_"), window]
        assert cells == " | ".join(f"{by_dmax[dmax]:.1f}" for dmax in sorted(by_dmax))


def test_correlations_of_figure_4_equal_its_file() -> None:
    text = (RESULTS / "figures.md").read_text()
    losses = {"thresholding": ("optimal", 0.0), "slope 0.2": ("optimal", 0.2), "Betti matching": ("Betti", 0.0)}
    shown = re.findall(rf"^\| (1|0\.6) \| (whole crop|64) \| ({'|'.join(losses)}) \| (.*) \|$", text, re.M)
    saved: dict[tuple[float, str, str, float], dict[float, float]] = {}
    for c in json.loads((RESULTS / "fig4.json").read_text())["conditions"]:
        if c["unmatched"] == "half_squared" and c["directions"] == 1:
            saved.setdefault((c["pixel"], c["window"], c["matching"], c["slope"]), {})[c["dmax"]] = c["correlation"]
    assert len(shown) == 12
    for pixel, window, loss, cells in shown:
        matching, slope = losses[loss]
        by_dmax = saved[float(pixel), window, matching, slope]
        assert cells == " | ".join(f"{by_dmax[dmax]:.2f}" for dmax in sorted(by_dmax))


def test_misalignment_equals_its_file() -> None:
    text = (RESULTS / "misalignment.md").read_text()
    rows = re.findall(r"^\| ([A-Za-z ]+) \| (whole crop|64|all pixels) \| (\d+) \| (.*) \|$", text, re.M)
    conditions = json.loads((RESULTS / "misalignment.json").read_text())["conditions"]
    saved = {(c["loss"], c["window"], c["dmax"], c["shift"]): c for c in conditions}
    assert len(rows) == len({condition[:3] for condition in saved})
    for loss, window, dmax, cells in rows:
        of = {
            shift: saved[loss, window.replace("all pixels", "whole crop"), float(dmax), shift] for shift in (0, 2, 4, 6)
        }
        expected = [condition[name] for name in ("raises", "signal") for condition in of.values()]
        expected += [of[shift]["misalignment_in_errors"] for shift in (2, 4, 6)]
        assert [float(cell) for cell in cells.split(" | ")] == pytest.approx(expected, abs=0.00501)


def test_repair_equals_its_file() -> None:
    text = (RESULTS / "repair.md").read_text()
    saved: dict[tuple[str, str, str], list[dict]] = {}
    for condition in json.loads((RESULTS / "repair.json").read_text())["conditions"]:
        key = (condition["errors"], str(condition["window"]), condition["loss"])
        saved.setdefault(key, []).append(condition)
    shown = re.findall(r"^\| (both|breaks|false roads) \| (\d+) \| ([A-Za-z0-9, ]+) \| (.*) \|$", text, re.M)
    assert [key for *key, _ in shown] == [list(key) for key in saved]
    for *key, cells in shown:
        assert cells == repair_cells(saved[tuple(key)])


def repair_cells(conditions: list[dict]) -> str:
    """Format the wrong loops that are left, the share of crops that are repaired, and their median steps, by dmax."""
    conditions = sorted(conditions, key=lambda condition: condition["dmax"])
    steps = [condition["median_steps_of_repaired"] for condition in conditions]
    cells = [f"{condition[name]:.2f}" for name in ("wrong_left", "repaired") for condition in conditions]
    return " | ".join(cells + ["" if x is None else f"{x:g}" for x in steps])


TRAININGS = {"both_ways.md": "both_ways", "misaligned_training.md": "misaligned_training"}


@pytest.mark.parametrize("page", [page for page in TRAININGS if (RESULTS / page).exists()])
def test_paired_trainings_equal_their_files(page: str) -> None:
    text = (RESULTS / page).read_text()
    saved = json.loads((RESULTS / f"{TRAININGS[page]}.json").read_text())
    for condition, methods in saved["conditions"].items():
        (section,) = re.findall(rf"^## {re.escape(condition)}\b(.*?)(?=^## |\Z)", text, re.M | re.S)
        rows = re.findall(r"^\| ([^|]+) \| ([^|]*) \| (\d.*) \|$", section, re.M)
        assert [name for name, *_ in rows] == list(methods)
        for name, weight, cells in rows:
            assert weight == "".join(re.findall(r"^MSE \+ (\S+) ", methods[name]["loss"]))
            assert cells == " | ".join(map(score_cell, methods[name]["chosen"]["scores"].values()))
        pairs = re.findall(
            r"^\| ([^|]+) \| ([^|]+) \| ([A-Za-z ]+) \| (-?\d\.\d+) \| (\d), (\d) \| (\d\.\d+|) \|$", section, re.M
        )
        assert pairs
        for first, second, metric, mean, better, worse, p in pairs:
            (pair,) = (x for x in saved["tests"][condition]["chosen"] if {x["first"], x["second"]} == {first, second})
            found, sign = pair["metrics"][metric], 1 if pair["first"] == first else -1
            counts = (found["better"], found["worse"])[::sign]
            assert (float(mean), int(better), int(worse)) == (round(sign * found["mean"], 2), *counts)
            assert p == ("" if found["t_p"] is None else f"{found['t_p']:.2f}")


def test_balances_after_the_warmup_equal_their_file() -> None:
    text, saved = (RESULTS / "both_ways.md").read_text(), json.loads((RESULTS / "both_ways.json").read_text())
    expected = []
    for condition, methods in saved["conditions"].items():
        for seed in map(str, methods["MSE"]["seeds"]):
            found = saved["after_warmup"][condition][seed]
            numbers = [f"{found[name]:.0f}" for name in ("warmup", "false", "missed")]
            expected.append((condition.removeprefix("dmax "), seed, *numbers))
    assert re.findall(r"^\| (\d+) \| (\d) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.M) == expected


def score_cell(metric: dict) -> str:
    """Format a mean and its deviation, if there is one."""
    deviation = "" if metric["deviation"] is None else f" ± {metric['deviation']:.2f}"
    return f"{metric['mean']:.2f}{deviation}"


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_page_is_short_and_its_links_exist(page: Path) -> None:
    text = page.read_text()
    assert page.name == "resources.md" or len(text.splitlines()) <= 150  # that page is a list of all kernels
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_index_links_every_page() -> None:
    text = (RESULTS / "README.md").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in text] == []
