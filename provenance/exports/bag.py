"""A folder as a bag: its files below `data`, with their SHA-256 digests in a manifest.

Source: RFC 8493 (BagIt 1.0).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PIECE: Final = 4 << 20


def bag(folder: Path, info: Mapping[str, str]) -> None:
    """Write the tag files of a bag whose payload lies below `folder/data` already.

    Args:
        folder: of the bag.
        info: what `bag-info.txt` says, such as `Source-Organization`.

    Raises:
        ValueError: a file has a name that a manifest cannot hold, or nothing lies there.
    """
    payload = sorted(file for file in (folder / "data").rglob("*") if file.is_file())
    if not payload:
        raise ValueError(f"nothing lies below `{folder}/data`")
    size = sum(file.stat().st_size for file in payload)
    lines = {**info, "Payload-Oxum": f"{size}.{len(payload)}"}
    _write(folder / "bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    _write(folder / "bag-info.txt", "".join(f"{name}: {_one_line(value)}\n" for name, value in lines.items()))
    _write(folder / "manifest-sha256.txt", _manifest(folder, payload))
    tags = [folder / name for name in ("bag-info.txt", "bagit.txt", "manifest-sha256.txt")]
    _write(folder / "tagmanifest-sha256.txt", _manifest(folder, tags))


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8", newline="\n")


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _manifest(folder: Path, files: list[Path]) -> str:
    return "".join(f"{_digest(file)}  {_encoded(file.relative_to(folder).as_posix())}\n" for file in files)


def _encoded(name: str) -> str:
    """A path as manifests have it: line breaks and percent signs escaped."""
    return name.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")


def _digest(file: Path) -> str:
    state = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            state.update(piece)
    return state.hexdigest()
