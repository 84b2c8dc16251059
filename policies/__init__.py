"""The policies that come with the grid: data, no logic."""

from importlib import resources
from typing import Final

SWITCHED_ON: Final = ("provenance.policy",)
"""What a new zone comes with."""


def text(name: str) -> str:
    """The text of a shipped policy, by file name.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    return resources.files(__package__).joinpath(name).read_text("utf-8")
