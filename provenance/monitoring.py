"""What looks wrong in a log, for who watches it: the log of another zone as well as one's own."""

import json
from collections import Counter
from pathlib import Path
from typing import Final

from provenance.log import TileFiles

MOST: Final = 100


def alarms(folder: Path, size: int, begin: int = 0) -> list[str]:
    """What looks wrong among the entries of a log, in words, the first hundred.

    Two acquisitions of the same content, which was then measured twice, or an old run under a new name; and entries that are there twice. What is not
    public is hidden from this, as from everybody.

    Args:
        folder: the log's.
        size: how many entries are looked at.
        begin: those from here on are told; the earlier ones are compared with.
    """
    found: list[str] = []
    measured: dict[str, int] = {}
    seen: Counter[str] = Counter()
    for number, entry in enumerate(TileFiles(folder).entries(0, size)):
        said = json.loads(entry)
        seen[said["commit"]] += 1
        if seen[said["commit"]] == 2 and number >= begin:
            found.append(f"entry {number} was in the log before")
        if said["kind"] != "acquisition":
            continue
        for subject in said["subj"]:
            first = measured.setdefault(subject, number)
            if first != number and number >= begin and seen[said["commit"]] == 1:
                found.append(
                    f"the content of entry {number} was signed as another measurement in entry {first}"
                )
        if len(found) >= MOST:
            break
    return found[:MOST]
