"""Images: the stages of 2D windows."""
