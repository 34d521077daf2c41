"""Timed comparisons with other libraries on the CPU, one command a module: `python -m bench.speed.persistence`, ..."""
