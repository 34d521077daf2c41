"""Device code: the same stages twice, in `cpu` (Numba) and, in files of the same names, for the GPU (Triton)."""
