"""Code that test files share: references, inputs of awkward kinds, and comparisons of the two engines."""
