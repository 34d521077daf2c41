"""The experiments of the paper that introduced the localized loss: `python -m bench.paper NAME`."""
