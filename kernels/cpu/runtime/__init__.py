"""What the kernels run on: compilation, threads, interruption, sorting."""
