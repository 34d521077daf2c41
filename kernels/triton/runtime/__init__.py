"""Launches of kernels, and their options."""
