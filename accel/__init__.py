"""Kernels that reduce detector frames: OpenCL where a device works, NumPy where none does, and the same results from both.

`reference.py` is what a kernel means; `kernels/*.cl` is how it is computed; `catalogue.py` names both, with their parameters; `running.py` runs one over
frames. Nothing here knows of the grid.
"""
