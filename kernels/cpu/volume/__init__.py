"""The stages of volumes, windows of three axes."""
