"""Evidence from a file, from a crate's folder, or from a zip of one, of which nothing is unpacked."""

import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from provenance.errors import Malformed
from provenance.evidence import MOST_BYTES

NAME: Final = "evidence.json"


def evidence_bytes(place: Path) -> bytes:
    """The evidence that lies at a place.

    Raises:
        Malformed: an archive is none, leads out of itself, holds no evidence or several, or too much.
    """
    if place.is_dir():
        place = place / NAME
    if place.suffix != ".zip":
        if place.stat().st_size > MOST_BYTES:
            raise Malformed(
                f"`{place}` has {place.stat().st_size} bytes; {MOST_BYTES} bytes at the most are read"
            )
        return place.read_bytes()
    try:
        with zipfile.ZipFile(place) as archive:
            return _from(archive, place)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise Malformed(f"`{place}` is no zip archive that can be read: {error}") from error


def _from(archive: zipfile.ZipFile, place: Path) -> bytes:
    for name in archive.namelist():
        if name.startswith("/") or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise Malformed(f"`{place}` holds `{name[:80]}`, which leads out of it; nothing of it is used")
    found = [name for name in archive.namelist() if PurePosixPath(name).name == NAME]
    if len(found) != 1:
        raise Malformed(f"`{place}` holds {'several' if found else 'no'} `{NAME}`")
    with archive.open(found[0]) as opened:
        data = opened.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Malformed(
            f"`{NAME}` in `{place}` is larger than it may be; {MOST_BYTES} bytes at the most are read"
        )
    return data
