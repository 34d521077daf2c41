"""Run the pages that draw without a display, and leave them out where matplotlib is not installed."""

import importlib.util
import os

os.environ.setdefault("MPLBACKEND", "agg")
collect_ignore = [] if importlib.util.find_spec("matplotlib") else ["plots.md", "start.md"]
