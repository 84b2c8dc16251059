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
    for name, data in tag_files(
        _manifest(folder, payload), {**info, "Payload-Oxum": f"{size}.{len(payload)}"}
    ).items():
        (folder / name).write_bytes(data)


def tag_files(manifest: str, info: Mapping[str, str], fetch: str = "") -> dict[str, bytes]:
    """The files of a bag beside its payload.

    Args:
        manifest: a line for each file of the payload: SHA-256, two spaces, its name.
        info: what `bag-info.txt` says.
        fetch: a line for each file that is elsewhere: its address, its size and its name; nothing where all are there.
    """
    made = {
        "bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": "".join(f"{name}: {_one_line(value)}\n" for name, value in info.items()),
        "manifest-sha256.txt": manifest,
        **({"fetch.txt": fetch} if fetch else {}),
    }
    found = {name: text.encode() for name, text in made.items()}
    tags = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(found.items()))
    return {**found, "tagmanifest-sha256.txt": tags.encode()}


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _manifest(folder: Path, files: list[Path]) -> str:
    return "".join(
        f"{_digest(file)}  {encoded_name(file.relative_to(folder).as_posix())}\n" for file in files
    )


def encoded_name(name: str) -> str:
    """A path as manifests have it: line breaks and percent signs escaped."""
    return name.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")


def _digest(file: Path) -> str:
    state = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            state.update(piece)
    return state.hexdigest()
