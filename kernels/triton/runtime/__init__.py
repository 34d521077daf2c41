"""What the kernels run on: launches and their options."""
