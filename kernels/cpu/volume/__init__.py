"""Volumes: the stages of 3D windows."""
