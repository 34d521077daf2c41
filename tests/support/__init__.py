"""What test files share: the textbook, inputs of odd kinds, and both engines on one input."""
