"""Reductions of stored frames at work, and the kernels that are released for them."""
