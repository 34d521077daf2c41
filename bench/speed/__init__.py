"""Benchmarks on the CPU: gpuph and other libraries, timed in turn in one process, one command a module."""
