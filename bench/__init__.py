"""Benchmarks, the training demo, and the experiments of the paper."""
