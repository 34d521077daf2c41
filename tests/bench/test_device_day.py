"""`bench.device.day`, rehearsed as compiled PTX: all sections run, and a failing section does not stop the others."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from bench.device import cases, day, golden, report, section

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

needs_gcc = pytest.mark.skipif(not shutil.which("gcc") or sys.platform != "linux", reason="ptxrun needs Linux and gcc")


@pytest.fixture(autouse=True)
def nothing_carried(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty directory instead of this checkout's carried files, and return it."""
    folder = tmp_path_factory.mktemp("carried")
    monkeypatch.setattr(day, "CARRIED", folder)
    return folder


@pytest.mark.slow
def test_golden_answers_equal_the_cpus() -> None:
    hashes, tensors = golden.load()
    now, tensors_now = golden.compute()
    assert now == hashes, "run `python -m bench.device.golden` where a change of answers is meant"
    assert tensors_now.keys() == tensors.keys()
    for name, expected in tensors.items():
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(tensors_now[name], expected, rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_array_equal(tensors_now[name], expected)


def test_inputs_are_exact_in_float32() -> None:
    for kind in cases.KINDS:
        for shape in ((31, 33), (5, 6, 4)):
            single, double = (cases.windows(kind, 2, shape, dtype) for dtype in (torch.float32, torch.float64))
            assert torch.equal(single.double().nan_to_num(), double.nan_to_num()), kind


def test_digest_depends_on_values_shapes_and_dtypes() -> None:
    x = torch.arange(6.0)
    assert golden.digest([x]) == golden.digest([x.clone()]) != golden.digest([x.flip(0)])
    assert golden.digest([x]) != golden.digest([x.double()])
    assert golden.digest([x]) != golden.digest([x.view(2, 3)])
    assert golden.digest([torch.tensor([0.0, torch.nan])]) == golden.digest([torch.tensor([-0.0, -torch.nan])])


def test_rehearsed_cases_are_among_those_of_a_gpu() -> None:
    for make in (*(functools.partial(cases.diagrams, rank) for rank in (2, 3)), cases.matchings, cases.losses):
        small, every = (make(small=small) for small in (True, False))
        assert set(small) < set(every)
        names = [case.name for case in every]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("rank", [2, 3])
def test_cases_cover_kinds_dtypes_and_constructions(rank: int) -> None:
    every = cases.diagrams(rank, small=False)
    for shape in {case.shape for case in every if case.n < cases.MANY}:
        found = {(case.kind, case.dtype, case.construction) for case in every if case.shape == shape}
        assert len(found) == len(cases.KINDS) * 2 * 2, shape
    kinds = {*itertools.product(cases.KINDS, cases.FLOATS)}
    assert {(case.kind, case.dtype) for case in every if case.n == 1024} == kinds
    assert any(max(case.shape) > 64 and sorted(case.shape)[-2] == 1 for case in every)  # 1 x n
    losses = [case for case in cases.losses(small=False) if len(case.shape) == rank]
    assert {(case.kind, case.dtype) for case in losses} == kinds


def test_answers_are_computed_20_to_50_times(tmp_path: Path) -> None:
    assert 20 <= section.Day(report.Report(tmp_path, "images"), tmp_path, rehearse=False).repeats <= 50


REPORTING = """
import os
from pathlib import Path
from bench.device.report import Report
Report(Path({out!r}), {section!r})("done", 1)
"""


def words(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: dict[str, str], limit: float) -> list[dict]:
    """Run sections given as code, and return the rows that they reported."""
    monkeypatch.setattr(day, "command", lambda name, out, rehearse: words(codes[name]))
    monkeypatch.setattr(day, "LIMITS", dict.fromkeys(codes, limit))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    day.main(["--out", str(tmp_path)])
    return [json.loads(line) for line in (tmp_path / report.FILE).read_text().splitlines()]


def test_sections_that_hang_or_crash_do_not_stop_the_others(tmp_path: Path, monkeypatch, capsys) -> None:
    reporting = {name: REPORTING.format(out=str(tmp_path), section=name) for name in ("losses", "modes")}
    codes = {
        "images": "import time; time.sleep(600)",
        "volumes": "import os; os.abort()",
        "matching": "raise RuntimeError('device-side assert')",
        "losses": reporting["losses"] + "os.kill(os.getpid(), 9)",  # what was reported before is kept
        "modes": reporting["modes"],
    }
    rows = run_sections(tmp_path, monkeypatch, codes, limit=3)
    failed = {row["section"]: row["value"] for row in rows if row["name"] == "section"}
    assert failed == {"images": "TIMED OUT", "volumes": "FAILED", "matching": "FAILED", "losses": "FAILED"}
    assert [row["section"] for row in rows if row["name"] == "done"] == ["losses", "modes"]
    assert "device-side assert" in (tmp_path / "summary.txt").read_text()
    assert "device-side assert" in (tmp_path / "log.txt").read_text()
    assert "4 failed" in capsys.readouterr().out


def test_processes_started_by_a_section_end_with_it(tmp_path: Path, monkeypatch) -> None:
    child = f"{sys.executable} -c 'import time; time.sleep(600)'"
    start = f"import subprocess; print(subprocess.Popen({child!r}, shell=True).pid, flush=True)"
    run_sections(tmp_path, monkeypatch, {"images": f"{start}; import time; time.sleep(600)", "volumes": start}, limit=2)
    log = (tmp_path / "log.txt").read_text().splitlines()
    children = [int(line) for line in log if line.isdigit()]
    assert len(children) == 2
    deadline = time.monotonic() + 10
    while any(_is_running(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_all_sections_end_before_the_deadline(tmp_path: Path, monkeypatch) -> None:
    assert day.TOTAL + 5 < 480
    monkeypatch.setattr(day, "TOTAL", 6)
    start = time.monotonic()
    codes = dict.fromkeys(("images", "volumes"), "import time; time.sleep(600)")
    rows = run_sections(tmp_path, monkeypatch, codes, limit=500)
    assert time.monotonic() - start < 6 + 5
    assert [(row["section"], row["value"]) for row in rows if row["name"] == "section"] == [
        ("images", "TIMED OUT"),
        ("volumes", "skipped"),
    ]


def test_sections_after_the_deadline_are_reported_as_skipped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(day, "TOTAL", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    day.main(["--out", str(tmp_path)])
    assert [(row["section"], row["reason"]) for row in report.read(tmp_path)] == [
        (name, "no time is left") for name in day.LIMITS
    ]


def a_day(tmp_path: Path, name: str, rehearse: bool = True) -> section.Day:
    return section.Day(report.Report(tmp_path, name), tmp_path, rehearse)


def test_missing_package_is_reported_as_skipped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in ("bench.device.times", "bench.device.workloads", "bench.speed.inputs"):
        package, _, module = name.rpartition(".")
        monkeypatch.delattr(sys.modules.get(package), module, raising=False)  # which `from package import module` finds
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(section, "emulated", contextlib.nullcontext)
    section.run(a_day(tmp_path, "calls"), "calls")
    (row,) = report.read(tmp_path)
    assert (row["name"], row["value"], row["reason"]) == ("section", "skipped", "PIL is not installed")


def test_one_failure_does_not_hide_the_others(tmp_path: Path, monkeypatch) -> None:
    from bench.device import answers

    def failing(case: cases.Windows) -> object:
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(answers, "on_device", failing)
    answers.images(a_day(tmp_path, "images"))
    failed = [row["name"] for row in report.read(tmp_path) if row["value"] == "FAILED"]
    assert failed == [case.name for case in sorted(cases.diagrams(2, small=True), key=lambda case: case.kind)]


STUB = """#!/bin/sh
echo "$@" >> {out}/words
cat <<'EOF'
{says}
EOF
exit {code}
"""


def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, code: int = 0) -> None:
    """Put a program on the PATH that only prints a text."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(STUB.format(out=tmp_path, says=says, code=code))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("tool", "says", "code", "value"),
    [
        ("memcheck", "========= ERROR SUMMARY: 0 errors", 0, "clean"),
        ("memcheck", "========= ERROR SUMMARY: 3 errors", 99, "FAILED"),
        ("memcheck", "========= Error: Target application terminated before first instrumented API call", 0, "FAILED"),
        ("racecheck", "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)", 0, "clean"),
        ("racecheck", "========= RACECHECK SUMMARY: 1 hazard displayed (0 errors, 1 warning)", 0, "FAILED"),
    ],
)
def test_sanitizer_runs_and_its_summary_is_read(
    tmp_path: Path, monkeypatch, tool: str, says: str, code: int, value: str
) -> None:
    from bench.device import tools

    stub(tmp_path, monkeypatch, "compute-sanitizer", says, code)
    getattr(tools, tool)(a_day(tmp_path, tool, rehearse=False))
    (row,) = report.read(tmp_path)
    assert row["value"] == value
    assert f"--tool {tool} " in (tmp_path / "words").read_text() and says in (tmp_path / f"{tool}.txt").read_text()


PROFILE = """==PROF== Connected to process 1
"ID","Kernel Name","Block Size","gpu__time_duration.sum","launch__registers_per_thread"
"","","","ns","register/thread"
"0","_match","(128, 1, 1)","1234","192"
"1","_reduce","(32, 1, 1)","567","80"
"""


def test_five_slowest_kernels_are_profiled(tmp_path: Path, monkeypatch) -> None:
    from bench.device import tools

    times = report.Report(tmp_path, "kernels")
    for number, kernel in enumerate(("gradient", "merge", "pairs", "place", "reduce", "match", "cost")):
        times(f"persistence of volumes, noise: {kernel}", float(number), "us")
        times(f"persistence of roads: {kernel}", 0.5 * number, "us")
    stub(tmp_path, monkeypatch, "ncu", PROFILE)
    tools.profiler(a_day(tmp_path, "profiler", rehearse=False))
    rows = [row for row in report.read(tmp_path) if row["section"] == "profiler"]
    assert [(row["name"], row["value"], row["registers"]) for row in rows] == [
        ("_match", "1234", "192"),
        ("_reduce", "567", "80"),
    ]
    assert "regex:^_?(cost|match|reduce|place|pairs)$ " in (tmp_path / "words").read_text()
    assert "--clock-control none " in (tmp_path / "words").read_text()
    assert set(tools.slowest(tmp_path).values()) == {"persistence of volumes, noise"}


def test_missing_tools_are_reported_as_skipped(tmp_path: Path, monkeypatch) -> None:
    from bench.device import tools

    monkeypatch.setenv("PATH", str(tmp_path))
    report.Report(tmp_path, "kernels")("persistence of roads: merge", 1.0, "us")
    for name in ("memcheck", "racecheck", "profiler"):
        getattr(tools, name)(a_day(tmp_path, name, rehearse=False))
    skipped = [(row["value"], row["reason"]) for row in report.read(tmp_path)[1:]]
    missing = ("skipped", "compute-sanitizer is not on the PATH")
    assert skipped == [missing, missing, ("skipped", "ncu is not on the PATH")]


def test_carried_kernels_are_reused_after_a_move(tmp_path: Path) -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    hits: list[bool] = []

    def compile_in(cache: Path) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(triton.knobs.cache, "dir", str(cache)))
            listener = lambda **found: hits.append(found["cache_hit"])  # noqa: E731
            stack.enter_context(mock.patch.object(triton.knobs.compilation, "listener", listener))
            triton.compile(ASTSource(_add_one, {"x": "*fp32"}), target=GPUTarget("cuda", 90, 32))

    made, carried = tmp_path / "made", tmp_path / "carried"
    compile_in(made)
    made.rename(carried)
    day.relocate(carried)
    compile_in(carried)
    assert hits == [False, True]


@triton.jit
def _add_one(x):
    tl.store(x, tl.load(x) + 1)


def test_rehearsal_does_not_use_carried_kernels(tmp_path: Path, monkeypatch, nothing_carried: Path) -> None:
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    (nothing_carried / "triton").mkdir()
    assert "TRITON_CACHE_DIR" not in day.environment(tmp_path, tmp_path / "site", rehearse=True)
    cache = day.environment(tmp_path, tmp_path / "site", rehearse=False)["TRITON_CACHE_DIR"]
    assert cache == str(nothing_carried / "triton")


WHEEL = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"


def test_carried_packages_are_installed_one_by_one(tmp_path: Path, nothing_carried: Path) -> None:
    (nothing_carried / "wheels").mkdir()
    for name, tag in (("afits_not", "cp27-cp27m-win32"), ("fits", "py3-none-any")):
        with zipfile.ZipFile(nothing_carried / "wheels" / f"{name}-1.0-{tag}.whl", "w") as wheel:
            metadata, about = (text.format(name=name, tag=tag) for text in WHEEL)
            wheel.writestr(f"{name}.py", "")
            wheel.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", about)
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    env = day.environment(tmp_path, tmp_path / "site", rehearse=True)
    assert {row["name"].partition("-")[0]: row["value"] for row in report.read(tmp_path)} == {
        "afits_not": "skipped",
        "fits": "installed",
    }
    assert (tmp_path / "site" / "fits.py").exists() and env["PYTHONPATH"].startswith(str(tmp_path / "site"))


def test_every_timed_call_has_a_prediction() -> None:
    from bench.device import times
    from bench.device.workloads import workloads

    predicted = {title for title, _ in times.predictions()}
    assert set(workloads(small=False)) <= predicted


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_ends_the_command_with_one_line(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        day.main(["--out", str(tmp_path)])
    assert "PyTorch finds no GPU here" in capsys.readouterr().err


@pytest.mark.ptx
@needs_gcc
def test_every_section_can_be_rehearsed(tmp_path: Path, capsys) -> None:
    day.main(["--rehearse", "--out", str(tmp_path)])
    rows = report.read(tmp_path)
    assert [row["section"] for row in rows if row["name"] == "section took"] == list(day.LIMITS)
    assert not [row for row in rows if row["value"] in ("FAILED", "TIMED OUT")]
    equal = {row["section"] for row in rows if row["value"] == "equal"}
    assert equal == {"images", "volumes", "matching", "losses", "modes"}
    timed = [row for row in rows if row["section"] == "kernels" and row["name"] != "section took"]
    names = {row["name"].rpartition(": ")[2] for row in timed}
    assert {"gradient", "merge", "reduce", "matched_cost", "match", "scatter_slopes"} <= names
    for row in timed:
        if row["name"].startswith("persistence"):  # titles of losses and matchings tell sizes, which are others here
            assert 0 < row["predicted us"] <= row["us with latency"], row["name"]
    assert "0 failed" in capsys.readouterr().out
    files = [*tmp_path.rglob("*")]
    assert len(files) <= 8 and all(path.is_file() for path in files)  # few enough to be fetched one by one


@pytest.mark.ptx
@needs_gcc
def test_wrong_answer_is_reported(tmp_path: Path, monkeypatch) -> None:
    from bench.device import answers

    right = golden.pairs

    def wrong(x: torch.Tensor, construction: str) -> dict[str, list[torch.Tensor]]:
        found = right(x, construction)
        found["index"][0][0, 0, 0] += 1
        return found

    monkeypatch.setattr(golden, "pairs", wrong)
    monkeypatch.setattr(answers, "diagrams", lambda rank, small: cases.diagrams(rank, small)[:2])
    with section.emulated():
        answers.images(a_day(tmp_path, "images"))
    (row,) = report.read(tmp_path)
    assert row["value"] == "FAILED" and "noise-N2-1x1-float32-T: index" in row["reason"]
