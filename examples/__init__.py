"""Complete programs, one a module: `python -m examples.pytorch`, ..."""
