"""Transcripts of real clients and a real server: every whole body decodes and encodes to the same bytes."""

import ast
import re
from collections import Counter
from pathlib import Path

from grid.codes import APIS
from grid.wire import native, xml

_MESSAGE = re.compile(r"^\d+ (C>S|S>C) (\w+) intInfo=(-?\d+) .*?msg=(\d+) err=(\d+) bs=(\d+)")
_BODY = re.compile(r"^\d+ {4}body (b['\"].*)$")


def bodies(path: Path):
    """(direction, type, API number, body) of every message that the transcript holds whole."""
    header, last_api = None, {}
    for line in path.read_text("utf-8", "replace").splitlines():
        match = _MESSAGE.match(line)
        if match:
            header = match
            if match[2] == "RODS_API_REQ":
                last_api[line.split()[0]] = int(match[3])
            continue
        body = _BODY.match(line)
        if body and header:
            try:
                data = ast.literal_eval(body[1])
            except (SyntaxError, ValueError):
                continue  # cut by the transcript
            if len(data) == int(header[4]):
                number = int(header[3]) if header[2] == "RODS_API_REQ" else last_api.get(line.split()[0], 0)
                yield header[1], header[2], number, data
            header = None


def struct_of(direction: str, kind: str, number: int) -> str | None:
    fixed = {"RODS_CONNECT": "StartupPack_PI", "RODS_VERSION": "Version_PI", "RODS_CS_NEG_T": "CS_NEG_PI"}
    if kind in fixed:
        return fixed[kind]
    api = APIS.get(number)
    if api is None:
        return None
    return api.input_struct if kind == "RODS_API_REQ" else api.output_struct


def test_captured_bodies_decode_and_encode_to_the_same_bytes(captures: Path) -> None:
    seen: Counter[str] = Counter()
    for path in sorted(captures.glob("*.log")):
        for direction, kind, number, data in bodies(path):
            name = struct_of(direction, kind, number)
            if name is None:
                continue
            if data.lstrip().startswith(b"<"):
                value = xml.decode(name, data)
                again = xml.encode(name, value, newlines=b"\n" in data)
                if b"\n" not in data:  # python-irodsclient leaves elements out; what it sends must survive
                    assert xml.decode(name, again) == value, (path.name, name)
                    seen[name] += 1
                    continue
            else:
                value = native.decode(name, data)
                again = native.encode(name, value)
                data = data if len(again) == len(data) else data.removesuffix(b"\0")
            assert again == data, (path.name, kind, number, name)
            seen[name] += 1
    assert sum(seen.values()) > 400, seen
    assert len(seen) > 20, sorted(seen)
