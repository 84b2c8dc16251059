"""The OpenCL C of the kernels that come with the grid, as it is compiled."""

from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=32)
def source_of(name: str) -> str:
    """The text of a kernel, with what all of them share before it; that alone without a name."""
    folder = resources.files(__package__).joinpath("kernels")
    return "".join(folder.joinpath(f"{one}.cl").read_text("utf-8") for one in ("common", name) if one)
