"""Kernels that scientists write: a function in restricted Python is checked, typed and bounded, and compiled to OpenCL C.

`language.py` reads the text; `bounds.py` finds types, bounds and cost for frames of a type; `opencl.py` and `expressions.py` write the kernel; `vectors.py` does the same in NumPy
where no device works; `meaning.py` runs the function as Python itself; `proving.py` compares all three.
"""
