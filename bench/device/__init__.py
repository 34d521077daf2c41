"""A day on a GPU: what the kernels answer there, how long they take, and what the sanitizer and the profiler say."""
