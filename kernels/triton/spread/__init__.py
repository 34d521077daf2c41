"""Gradients in whole paths, for images; see kernels/README.md, "Carriers"."""
