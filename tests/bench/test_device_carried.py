"""`bench.device.day`: kernels and packages that are carried to a machine with a GPU."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from unittest import mock

import pytest

from bench.device import day, report

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

pytestmark = pytest.mark.usefixtures("nothing_carried")


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
