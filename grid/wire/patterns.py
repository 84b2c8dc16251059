"""One regular expression for each struct: how small XML messages are read in a few microseconds.

Most messages hold every element in declared order, as all known clients write them. For such a message one match
finds every value at once. Anything else (another order, a missing element, a number that needs a second look) does
not match, and the general reader of `grid.wire.xml` decides what it means; a test holds the two to the same answer.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from grid.wire.packing import Item, Kind, plan

_DIGITS: Final = {2: 4, 4: 9, 8: 18}
"""So many decimal digits fit into an integer of so many bytes, whatever they are."""

_Take = Callable[[tuple[Any, ...], bool], Any]
Unescape = Callable[[str, bool], str]


class _Unsupported(Exception):
    """The struct has an item that one expression cannot read."""


class Pattern:
    """Reads the messages of one struct that are written the usual way."""

    def __init__(self, struct_name: str, unescape: Unescape) -> None:
        self._unescape = unescape
        self._groups = 0
        self._open: list[str] = []
        text, self._take = self._struct(struct_name)
        self._match = re.compile(rf"{text}\0?").fullmatch

    def read(self, text: str, *, apostrophe_bug: bool) -> dict[str, Any] | None:
        """The values, or None when the message is not written the usual way."""
        match = self._match(text)
        if match is None:
            return None
        try:
            value: dict[str, Any] = self._take(match.groups(), apostrophe_bug)
        except _Unusual:
            return None
        return value

    def _group(self) -> int:
        self._groups += 1
        return self._groups - 1

    def _struct(self, name: str) -> tuple[str, _Take]:
        if name in self._open:
            raise _Unsupported  # it holds itself
        self._open.append(name)
        texts = [f"<{name}>\n?"]
        takes: list[tuple[str, _Take]] = []
        lengths: dict[str, str] = {}
        for item in plan(name):
            text, take = self._item(item, lengths)
            texts.append(text)
            takes.append((item.key, take))
            if item.is_length:
                lengths[item.name] = item.key
        texts.append(f"</{name}>\n?")
        self._open.pop()
        counted = [
            (item.key, lengths[str(item.counts[0])]) for item in plan(name) if item.is_array
        ]  # fmt: skip

        def read(groups: tuple[Any, ...], bug: bool) -> dict[str, Any]:
            value = {key: take(groups, bug) for key, take in takes}
            for key, length in counted:
                found = value[key]
                if found is not None and len(found) != value[length]:
                    raise _Unusual
            return value

        return "".join(texts), read

    def _item(self, item: Item, lengths: dict[str, str]) -> tuple[str, _Take]:
        if item.is_raw or item.kind is Kind.DEPENDENT:
            raise _Unsupported
        if item.is_array:
            if item.kind is Kind.STRUCT or len(item.counts) != 1 or str(item.counts[0]) not in lengths:
                raise _Unsupported
            return self._array(item)
        if item.kind is Kind.STRUCT:
            return self._nested(item)
        return self._single(item)

    def _single(self, item: Item) -> tuple[str, _Take]:
        index, name, maximum = self._group(), item.name, item.max_bytes
        if item.integer_bytes:
            text = rf"<{name}>(-?\d{{1,{_DIGITS[item.integer_bytes]}}})</{name}>\n?"
            take: _Take = lambda groups, bug: None if groups[index] is None else int(groups[index])  # noqa: E731
        else:
            text = rf"<{name}>([^<]*+)</{name}>\n?"
            if maximum is not None and not isinstance(maximum, int):
                raise _Unsupported
            take = self._text(index, maximum)
        return (f"(?:{text})?" if item.pointer else text), take

    def _text(self, index: int, maximum: int | None) -> _Take:
        unescape = self._unescape

        def take(groups: tuple[Any, ...], bug: bool) -> str | None:
            found: str | None = groups[index]
            if not found:
                return found
            if maximum is not None and len(found) * 4 >= maximum:
                raise _Unusual
            return unescape(found, bug) if "&" in found else found

        return take

    def _array(self, item: Item) -> tuple[str, _Take]:
        index, name, unescape = self._group(), item.name, self._unescape
        if item.integer_bytes:
            content = rf"-?\d{{1,{_DIGITS[item.integer_bytes]}}}"
        elif item.max_bytes is None:
            content = "[^<]*+"
        else:
            raise _Unsupported
        pieces = re.compile(rf"<{name}>([^<]*+)</{name}>").findall
        integer, pointer = bool(item.integer_bytes), item.pointer

        def take(groups: tuple[Any, ...], bug: bool) -> list[Any] | None:
            block = groups[index]
            if not block:
                return None if pointer else []
            found = pieces(block)
            if integer:
                return list(map(int, found))
            return [unescape(text, bug) for text in found] if "&" in block else found

        return rf"((?:<{name}>{content}</{name}>\n?)*+)", take

    def _nested(self, item: Item) -> tuple[str, _Take]:
        present = self._group()
        text, read = self._struct(item.name)

        def take(groups: tuple[Any, ...], bug: bool) -> Any:
            return None if groups[present] is None else read(groups, bug)

        return (f"(?:(){text})?" if item.pointer else f"(){text}"), take


class _Unusual(Exception):
    """A value that the general reader has to look at."""


@cache
def pattern_of(struct_name: str, unescape: Unescape) -> Pattern | None:
    """The reader of a struct, or None for one that has no such expression."""
    try:
        return Pattern(struct_name, unescape)
    except _Unsupported:
        return None
