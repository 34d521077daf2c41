"""The pages of the documentation have valid links, name everything that is public, and build without warnings."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import gpuph.interop
from support.processes import python

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md"), ROOT / "kernels/README.md"])
API = (ROOT / "docs/api.md").read_text()
DOCSTRINGS = {
    f"{module}.{name}"
    for module, names in re.findall(r"<!-- docstrings of ([\w.]+): ([\w\s]+?) -->", API)
    for name in names.split()
}
# Modules of `gpuph.interop` with public names. Those that it exports itself are on the page under its own name.
INTEROP = [
    f"gpuph.interop.{module.name}"
    for module in pkgutil.iter_modules(gpuph.interop.__path__)
    if hasattr(importlib.import_module(f"gpuph.interop.{module.name}"), "__all__")
]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_of_a_page_lead_to_files_of_the_repository(page: Path) -> None:
    text = re.sub(r"^```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("module", ["gpuph", "gpuph.metrics", "gpuph.plot", "gpuph.interop", *INTEROP])
def test_api_page_has_the_docstring_of_every_public_name(module: str) -> None:
    public = importlib.import_module(module).__all__
    exported = set(gpuph.interop.__all__) if module in INTEROP else set()
    assert {f"{module}.{name}" for name in set(public) - exported} - DOCSTRINGS == set()


def test_api_page_names_only_what_there_is() -> None:
    for name in DOCSTRINGS:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "docs/conf.py").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f'"docs/{page.name}"' not in contents] == []


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path: Path) -> None:
    for package in ("sphinx", "myst_parser", "furo", "sphinx_copybutton"):
        pytest.importorskip(package)
    options = "-W", "--keep-going", "-q", "-c", "docs", "-d", tmp_path / "cache"
    built = python("-m", "sphinx", *options, ".", tmp_path / "site", cwd=ROOT)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "site/docs/api.html").read_text()
    assert 'id="gpuph.persistence"' in page and 'id="gpuph.metrics.ccq"' in page
    assert "docs/losses.html" in (tmp_path / "site/README.html").read_text()
