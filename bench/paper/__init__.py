"""The experiments of the paper on the localized loss: `python -m bench.paper NAME`."""
