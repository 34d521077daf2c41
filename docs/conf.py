"""Settings of the site: `python -m sphinx -W -c docs . build/site`, in the root of the repository.

The pages are the Markdown files of the repository where they are, so that links are the same here and there. Two things
are added to them: the contents, in the margin, and the docstrings on the page of the API.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from sphinx.application import Sphinx

import gpuph

ROOT = Path(__file__).parents[1]
CONTENTS = {
    "Start": ("docs/start.md", "docs/losses.md", "docs/classes.md", "docs/volumes.md"),
    "Guides": (
        *("docs/masks.md", "docs/spacing.md", "docs/metrics.md", "docs/graphs.md", "docs/large.md"),
        *("docs/arrays.md", "docs/diagrams.md", "docs/matching.md", "docs/plots.md"),
        *("docs/migrating.md", "docs/differences.md", "docs/performance.md", "docs/gpu.md"),
    ),
    "Reference": ("docs/api.md", "kernels/README.md", "bench/results/README.md", "CHANGELOG.md"),
    "Project": ("CONTRIBUTING.md", "tests/README.md", "examples/README.md", "bench/data/README.md"),
}

project = "gpuph"
author = "the authors of gpuph"
release = gpuph.__version__
root_doc = "README"
include_patterns = [
    *("*.md", "docs/*.md", "kernels/README.md", "bench/*.md", "bench/**/*.md"),
    *("tests/README.md", "tests/ptxrun/README.md", "examples/README.md"),
]
exclude_patterns = ["build"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
html_title = f"gpuph {release}"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

myst_heading_anchors = 4  # as on the pages of a repository
autodoc_member_order = "bysource"
autodoc_mock_imports = [] if importlib.util.find_spec("dask") else ["dask"]
autodoc_typehints = "none"  # docstrings have types, with shapes
napoleon_google_docstring = False
napoleon_use_ivar = True
default_role = "py:obj"  # names in backticks are links to what they name, if it is documented
# Pages of the repository that are reached by links from other pages only.
suppress_warnings = ["toc.not_included"]


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Add the contents to the first page. Files that are not there are left out."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            found = [each.removesuffix(".md") for each in pages if (ROOT / each).exists()]
            source[0] += "\n\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(found) + "\n```\n"


def add_docstrings(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace comments such as `<!-- docstrings of gpuph: match Matching -->` by the docstrings of these names."""

    def docstrings(comment: re.Match[str]) -> str:
        module, names = comment.groups()
        lines = [f".. py:currentmodule:: {module}"]
        for name in names.split():
            lines += (
                ["", f".. autoclass:: {name}", "   :members:"]
                if name[0].isupper()
                else ["", f".. autofunction:: {name}"]
            )
        return "\n".join(["```{eval-rst}", *lines, "```"])

    source[0] = re.sub(r"<!-- docstrings of ([\w.]+): ([\w\s]+?) -->", docstrings, source[0])


def escape(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape shapes such as (*spatial), and |d - b|, which reStructuredText takes for emphasis and substitutions."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(`[^`]*`)", line)
            lines[i] = "".join(part if part.startswith("`") else re.sub(r"[*|]", r"\\\g<0>", part) for part in parts)


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("source-read", add_docstrings)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon, which adds stars
