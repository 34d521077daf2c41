"""Let a checkout work without being installed: there, the kernels stand beside this package and not inside it."""

from pathlib import Path

from . import __path__ as _search_path

_package = Path(__file__).parent
if not (_package / "kernels").exists():
    _search_path.append(str(_package.parent))
