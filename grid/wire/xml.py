"""XML encoding: an element per item, no attributes, no declaration, five entities and nothing else.

Strategy. The peers do not speak XML, they speak a string scanner: C++ clients expect every non-pointer
element in declared order with a newline after each end tag; python-irodsclient writes none, leaves elements
out, and with its own tolerant parser sends control characters raw. So decoding is one pass of a regular
expression over tags and texts, in any order, with missing elements read as zero, empty or null. A document
type, an entity declaration or a processing instruction has no meaning here and is refused, so nothing is ever
expanded.

Peers before 4.2.9 wrote the backtick as `&apos;` and the apostrophe raw; `apostrophe_bug` mirrors them.

Source: `packXmlString`, `parseXmlValue` in `packStruct.cpp`, iRODS 5.0.2; `irods/message/__init__.py`,
python-irodsclient 3.3.0.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any

from grid.wire.errors import LocalWireError, RemoteWireError
from grid.wire.packing import MAX_ELEMENTS, Item, Kind, Scope, Struct, Value, plan
from grid.wire.patterns import pattern_of

_TOKEN = re.compile(r"<([A-Za-z_]\w*)>([^<]*)(?:(</\1>)|)|</([A-Za-z_]\w*)>")
_WHOLE = re.compile(r"\s*+(?:<[A-Za-z_]\w*+>[^<]*+|</[A-Za-z_]\w*+>\s*+)*+\0?")
_ENTITY = re.compile(r"&(amp|lt|gt|quot|apos);")
_INTEGER = re.compile(r"\s*([+-]?\d{1,20})")
_ENTITY_TEXT = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def escape(text: str, *, apostrophe_bug: bool = False) -> str:
    """Replace the five characters that have entities."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    if '"' in text:
        text = text.replace('"', "&quot;")
    return text.replace("`", "&apos;") if apostrophe_bug else text.replace("'", "&apos;")


def unescape(text: str, *, apostrophe_bug: bool = False) -> str:
    """Replace the five entities; anything else that begins with `&` stays as it is."""
    if "&" not in text:
        return text
    if apostrophe_bug:
        return _ENTITY.sub(lambda m: "`" if m[1] == "apos" else _ENTITY_TEXT[m[1]], text)
    return _ENTITY.sub(lambda m: _ENTITY_TEXT[m[1]], text)


def _unescape(text: str, apostrophe_bug: bool) -> str:
    return unescape(text, apostrophe_bug=apostrophe_bug)


def encode(struct_name: str, value: Struct, *, newlines: bool = True, apostrophe_bug: bool = False) -> bytes:
    """Write `value` as `struct_name`.

    Args:
        struct_name: a name declared in `structs`.
        value: its items; absent ones are written as zero or empty, absent pointers are left out.
        newlines: end tags followed by a newline, as C++ peers write and expect; python-irodsclient does not.
        apostrophe_bug: the peer is older than 4.2.9.

    Raises:
        LocalWireError: a text is too long or an array has another length than its count says.
    """
    writer = _Writer("\n" if newlines else "", apostrophe_bug)
    writer.struct(struct_name, value, None)
    return "".join(writer.out).encode("utf-8", "surrogateescape")


class _Writer:
    __slots__ = ("apostrophe_bug", "end", "out")

    def __init__(self, end: str, apostrophe_bug: bool) -> None:
        self.out: list[str] = []
        self.end = end
        self.apostrophe_bug = apostrophe_bug

    def struct(self, name: str, value: Struct, outer: Scope | None) -> None:
        scope = Scope(outer)
        self.out.append(f"<{name}>{self.end}")
        for item in plan(name):
            content = value.get(item.key)
            if item.is_length:
                scope.set(item.name, content or 0)
            self.item(item, content, scope, value)
        self.out.append(f"</{name}>{self.end}")

    def item(self, item: Item, content: Value, scope: Scope, parent: Struct) -> None:
        if content is None:
            if item.pointer or item.kind is Kind.DEPENDENT:
                return
            content = _default(item, scope)
        if item.is_raw:
            expected = scope.count(item)
            if len(content) != expected:
                raise LocalWireError(f"`{item.name}` holds {len(content)} bytes; its length says {expected}")
            if content or item.kind is Kind.CHARS:
                self.one(item, content, scope, parent)
        elif item.is_array:
            if len(content) != scope.count(item):
                raise LocalWireError(
                    f"`{item.name}` holds {len(content)} elements; its count says {scope.count(item)}"
                )
            for element in content:
                self.one(item, element, scope, parent)
        else:
            self.one(item, content, scope, parent)

    def one(self, item: Item, element: Value, scope: Scope, parent: Struct) -> None:
        kind = item.kind
        if kind is Kind.STRUCT:
            self.struct(item.name, element, scope)
            return
        if kind is Kind.DEPENDENT:
            self.struct(parent[item.depends_on], element, scope)
            return
        if item.integer_bytes:
            text = str(int(element))
        elif item.is_text:
            if item.max_bytes is not None:
                limit = scope.length(item.max_bytes)
                if len(element) * 4 >= limit and len(element.encode("utf-8", "surrogateescape")) >= limit:
                    raise LocalWireError(f"`{item.name}` is too long; at most {limit - 1} bytes fit")
            text = escape(element, apostrophe_bug=self.apostrophe_bug)
        elif kind is Kind.BYTES:
            text = b64encode(element).decode("ascii")
        else:
            text = element.decode("utf-8", "surrogateescape")
        self.out.append(f"<{item.name}>{text}</{item.name}>{self.end}")


def _default(item: Item, scope: Scope) -> Value:
    if item.is_raw:
        return b"\0" * scope.count(item)
    single: Value = 0 if item.integer_bytes else "" if item.is_text else {}
    return [single] * scope.count(item) if item.is_array else single


_Element = tuple[str, Any]  # name, and a text or a list of elements


def _parse(text: str) -> _Element:
    """The document as nested (name, text or children) pairs, in one pass and without recursion."""
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        raise RemoteWireError("message body is not a sequence of plain elements")
    root: list[_Element] = []
    children = root
    stack: list[tuple[str, list[_Element]]] = []
    for name, content, closed, end in _TOKEN.findall(text):
        if closed:
            children.append((name, content))
        elif end:
            if not stack or stack[-1][0] != end:
                raise RemoteWireError(f"`</{end}>` closes nothing")
            children = stack.pop()[1]
        else:
            if len(stack) > 16:
                raise RemoteWireError("elements nested too deeply")
            inner: list[_Element] = []
            children.append((name, inner))
            stack.append((name, children))
            children = inner
    if stack or len(root) != 1:
        raise RemoteWireError("message body is not one complete element")
    return root[0]


def decode(struct_name: str, data: bytes, *, apostrophe_bug: bool = False) -> dict[str, Value]:
    """Read one struct.

    Raises:
        RemoteWireError: the bytes are not such an element.
    """
    text = data.decode("utf-8", "surrogateescape")
    pattern = pattern_of(struct_name, _unescape)
    if pattern is not None:
        value = pattern.read(text, apostrophe_bug=apostrophe_bug)
        if value is not None:
            return value
    return decode_any_order(struct_name, text, apostrophe_bug=apostrophe_bug)


def decode_any_order(struct_name: str, text: str, *, apostrophe_bug: bool = False) -> dict[str, Value]:
    """Read one struct whose elements may come in any order or be missing; as `decode`, which tries the usual first."""
    name, children = _parse(text)
    if name != struct_name:
        raise RemoteWireError(f"found `{name}` where `{struct_name}` was expected")
    return _struct(struct_name, children, None, apostrophe_bug)


def _struct(name: str, children: Any, outer: Scope | None, apostrophe_bug: bool) -> dict[str, Value]:
    by_name: dict[str, list[Any]] = {}
    if children and not isinstance(children, str):
        for child, content in children:
            by_name.setdefault(child, []).append(content)
    elif isinstance(children, str) and children.strip():
        raise RemoteWireError(f"`{name}` holds text where elements were expected")
    scope = Scope(outer)
    value: dict[str, Value] = {}
    taken: dict[str, int] = {}
    for item in plan(name):
        key = item.name
        if item.kind is Kind.DEPENDENT:
            key = value.get(item.depends_on) or ""
        found = by_name.get(key, ())
        if item.is_array and not item.is_raw:
            content = _array(item, found, scope, apostrophe_bug)
        else:
            position = taken.get(key, 0)
            taken[key] = position + 1
            raw = found[position] if position < len(found) else None
            content = _single(item, key, raw, scope, apostrophe_bug)
        value[item.key] = content
        if item.is_length and content is not None:
            scope.set(item.name, content)
    return value


def _array(item: Item, found: Any, scope: Scope, apostrophe_bug: bool) -> Value:
    if not found and item.pointer:
        return None  # also where a count says otherwise: unused columns of a query's answer are written so
    count = scope.count(item)
    if not 0 <= count <= MAX_ELEMENTS:
        raise RemoteWireError(f"`{item.name}` claims {count} elements")
    if item.kind is Kind.STRUCT and not item.pointer and len(found) < count:
        found = [*found, *([""] * (count - len(found)))]
    if len(found) != count:
        raise RemoteWireError(f"`{item.name}` claims {count} elements and has {len(found)}")
    if item.integer_bytes:
        return _integers(item, found)
    return [_single(item, item.name, raw, scope, apostrophe_bug) for raw in found]


def _integers(item: Item, found: list[Any]) -> list[int]:
    """Numbers all at once, as queries send many; anything unusual is looked at one by one."""
    try:
        numbers = list(map(int, found))
    except (ValueError, TypeError):
        numbers = []
        for raw in found:
            if not isinstance(raw, str):
                raise RemoteWireError(f"`{item.name}` holds elements where text was expected") from None
            numbers.append(_integer(item, raw))
        return numbers
    limit = 1 << (item.integer_bytes * 8 - 1)
    if numbers and not (-limit <= min(numbers) and max(numbers) < limit):
        raise RemoteWireError(f"`{item.name}` holds a number that {item.integer_bytes * 8} bits cannot hold")
    return numbers


def _single(item: Item, key: str, raw: Any, scope: Scope, apostrophe_bug: bool) -> Value:
    kind = item.kind
    if raw is None:
        if item.pointer or kind is Kind.DEPENDENT:
            return None
        if item.integer_bytes:
            return 0
        if item.is_text:
            return ""
        if kind is Kind.STRUCT:
            return _struct(item.name, "", scope, apostrophe_bug)
        return b""
    if kind is Kind.STRUCT:
        return _struct(item.name, raw, scope, apostrophe_bug)
    if kind is Kind.DEPENDENT:
        try:
            plan(key)
        except LocalWireError as unknown:
            raise RemoteWireError(str(unknown)) from None
        return _struct(key, raw, scope, apostrophe_bug)
    if not isinstance(raw, str):
        raise RemoteWireError(f"`{key}` holds elements where text was expected")
    if item.integer_bytes:
        return _integer(item, raw)
    if item.is_text:
        text = unescape(raw, apostrophe_bug=apostrophe_bug)
        if item.max_bytes is not None:
            limit = scope.length(item.max_bytes)
            if len(text) * 4 >= limit and len(text.encode("utf-8", "surrogateescape")) >= limit:
                raise RemoteWireError(f"`{key}` is longer than the {limit - 1} bytes that fit")
        return text
    if kind is Kind.CHARS:
        return raw.encode("utf-8", "surrogateescape")
    try:
        return b64decode(raw, validate=False)
    except (Base64Error, ValueError):
        raise RemoteWireError(f"`{key}` is not base64") from None


def _integer(item: Item, raw: str) -> int:
    match = _INTEGER.match(raw)
    if match is None:
        return 0  # as atoi reads it
    number = int(match[1])
    bits = item.integer_bytes * 8
    if not -(1 << (bits - 1)) <= number < (1 << (bits - 1)):
        raise RemoteWireError(f"`{item.name}` is {number}, which {bits} bits cannot hold")
    return number
