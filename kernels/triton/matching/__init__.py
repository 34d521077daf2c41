"""Matching of persistence diagrams."""
