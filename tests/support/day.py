"""The day of a GPU, as the tests of its parts need it."""

from __future__ import annotations

from pathlib import Path

from bench.device import report, section


def a_day(tmp_path: Path, name: str, rehearse: bool = True) -> section.Day:
    """Return a day that reports to a directory, for a section."""
    return section.Day(report.Report(tmp_path, name), tmp_path, rehearse)
