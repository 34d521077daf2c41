"""Write the results of sections as JSON lines, each flushed to disk at once."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

FILE = "day.jsonl"


class Report:
    """Append the results of one section to a file."""

    def __init__(self, folder: Path, section: str) -> None:
        self.path, self.section = folder / FILE, section

    def __call__(self, name: str, value: Any, unit: str = "", **more: Any) -> None:
        """Write one result, and flush it to disk."""
        row = {"section": self.section, "name": name, "value": value, "unit": unit, **more, "at": round(time.time(), 1)}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"[{self.section}] {name}: {_short(value)} {unit}", flush=True)

    def skipped(self, name: str, reason: str) -> None:
        """Report that a check was skipped, with the reason."""
        self(name, "skipped", reason=reason)


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the results of all sections in the order in which they were written."""
    path = folder / FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def summary(rows: list[dict[str, Any]]) -> str:
    """Format all results by section, and repeat the failures at the end."""
    lines, section = [], None
    for row in rows:
        if row["section"] != section:
            section = row["section"]
            lines += ["", section, "-" * len(section)]
        more = {key: value for key, value in row.items() if key not in ("section", "name", "value", "unit", "at")}
        tail = "  " + ", ".join(f"{key} {_short(value)}" for key, value in more.items()) if more else ""
        lines.append(f"  {row['name']:<60} {_short(row['value']):>12} {row['unit']}{tail}")
    failed = [row for row in rows if row["value"] in ("FAILED", "TIMED OUT")]
    lines += ["", f"{len(failed)} failed" + (":" if failed else "")]
    lines += [f"  {row['section']}: {row['name']} {row['value']} {row.get('reason', '')[:300]}" for row in failed]
    return "\n".join(lines[1:])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
