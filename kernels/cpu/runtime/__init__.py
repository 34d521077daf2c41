"""Compilation, threads, interruption and sorting for the kernels."""
