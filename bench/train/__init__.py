"""The training demo: `python -m bench.train` trains on roads or neurons, with and without the localized loss."""
