"""The training demo: `python -m bench.train`."""
