"""The stages of images, windows of two axes."""
