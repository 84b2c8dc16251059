"""Files that are there as a whole or not at all."""

import os
from pathlib import Path


def write_for_good(file: Path, data: bytes) -> None:
    """Write a file, which is there as a whole or not at all, and survives a crash of the machine."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    with part.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    part.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
