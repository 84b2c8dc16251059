"""Native encoding: items one after the other, integers big-endian, texts NUL-terminated.

No alignment, no tags. A null pointer is `NULL_MARKER`, once, whatever stands behind it; a decoder looks for
the marker before anything else, as the C code does. An empty pointer array may be the marker or nothing.

Source: `packNonpointerItem`, `packPointerItem` and their inverses in `packStruct.cpp`, iRODS 5.0.2.
"""

from grid.wire.errors import LocalWireError, RemoteWireError
from grid.wire.packing import MAX_ELEMENTS, NULL_MARKER, Item, Kind, Scope, Struct, Value, plan


def encode(struct_name: str, value: Struct) -> bytes:
    """Pack `value` as `struct_name`.

    Raises:
        LocalWireError: a number or a text does not fit, or an array has another length than its count says.
    """
    out: list[bytes] = []
    _encode_struct(out, struct_name, value, None)
    return b"".join(out)


def _encode_struct(out: list[bytes], struct_name: str, value: Struct, outer: Scope | None) -> None:
    scope = Scope(outer)
    for item in plan(struct_name):
        content = value.get(item.key)
        if item.is_length:
            scope.set(item.name, content or 0)
        _encode_item(out, item, content, scope, value)


def _encode_item(out: list[bytes], item: Item, content: Value, scope: Scope, parent: Struct) -> None:
    if content is None:
        if item.pointer or item.kind is Kind.DEPENDENT:
            out.append(NULL_MARKER)
            return
        content = _default(item, scope)
    if item.is_raw:
        expected = scope.count(item)
        if len(content) != expected:
            raise LocalWireError(f"`{item.name}` holds {len(content)} bytes where its length says {expected}")
        out.append(content)
    elif item.is_array:
        if len(content) != scope.count(item):
            raise LocalWireError(
                f"`{item.name}` holds {len(content)} elements where its count says {scope.count(item)}"
            )
        for element in content:
            _encode_one(out, item, element, scope, parent)
    else:
        _encode_one(out, item, content, scope, parent)


def _default(item: Item, scope: Scope) -> Value:
    if item.is_raw:
        return b"\0" * scope.count(item)
    single: Value = 0 if item.integer_bytes else "" if item.is_text else {}
    return [single] * scope.count(item) if item.is_array else single


def _encode_one(out: list[bytes], item: Item, element: Value, scope: Scope, parent: Struct) -> None:
    kind = item.kind
    if item.integer_bytes:
        try:
            out.append(int(element).to_bytes(item.integer_bytes, "big", signed=True))
        except OverflowError:
            raise LocalWireError(f"`{item.name}` cannot hold {element}") from None
    elif item.is_text:
        data = element.encode("utf-8", "surrogateescape")
        if b"\0" in data:
            raise LocalWireError(f"`{item.name}` holds a NUL")
        if item.max_bytes is not None and len(data) >= scope.length(item.max_bytes):
            raise LocalWireError(
                f"`{item.name}` is {len(data)} bytes long; at most {scope.length(item.max_bytes) - 1} fit"
            )
        out.append(data + b"\0")
    elif kind is Kind.STRUCT:
        _encode_struct(out, item.name, element, scope)
    else:
        _encode_struct(out, parent[item.depends_on], element, scope)


class _Reader:
    """A position in a message; everything it hands out was there."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise RemoteWireError(f"message ends {end - len(self.data)} bytes before its struct does")
        part = self.data[self.position : end]
        self.position = end
        return part

    def text(self, limit: int | None) -> str:
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise RemoteWireError("text without its NUL")
        if limit is not None and end - self.position >= limit:
            raise RemoteWireError(f"text of {end - self.position} bytes where at most {limit - 1} fit")
        part = self.data[self.position : end]
        self.position = end + 1
        return part.decode("utf-8", "surrogateescape")

    def skip_null(self) -> bool:
        if self.data.startswith(NULL_MARKER, self.position):
            self.position += len(NULL_MARKER)
            return True
        return False


def decode(struct_name: str, data: bytes) -> dict[str, Value]:
    """Unpack one struct that fills `data`, a trailing NUL apart.

    Raises:
        RemoteWireError: the bytes are not such a struct.
    """
    reader = _Reader(data)
    value = _decode_struct(reader, struct_name, None, 0)
    rest = len(data) - reader.position
    if rest > 1 or (rest == 1 and data[-1] != 0):
        raise RemoteWireError(f"{rest} bytes follow a complete `{struct_name}`")
    return value


def _decode_struct(reader: _Reader, struct_name: str, outer: Scope | None, depth: int) -> dict[str, Value]:
    if depth > 16:
        raise RemoteWireError("structs nested too deeply")
    scope = Scope(outer)
    value: dict[str, Value] = {}
    for item in plan(struct_name):
        content = _decode_item(reader, item, scope, value, depth)
        value[item.key] = content
        if item.is_length and content is not None:
            scope.set(item.name, content)
    return value


def _decode_item(reader: _Reader, item: Item, scope: Scope, parent: Struct, depth: int) -> Value:
    # a marker before an array of structs may belong to the first item of the first struct
    own_marker = item.kind is not Kind.STRUCT or not item.is_array or scope.count(item) == 0
    if (item.pointer or item.kind is Kind.DEPENDENT) and own_marker and reader.skip_null():
        return None
    if item.is_array:
        count = scope.count(item)
        if not 0 <= count <= (MAX_ELEMENTS if not item.is_raw else len(reader.data)):
            raise RemoteWireError(f"`{item.name}` claims {count} elements")
        if count == 0 and item.pointer:
            return None
        if item.is_raw:
            return reader.take(count)
        if item.integer_bytes and count * item.integer_bytes > len(reader.data):
            raise RemoteWireError(f"`{item.name}` claims {count} elements; the message is shorter")
        return [_decode_one(reader, item, scope, parent, depth) for _ in range(count)]
    if item.is_raw:
        return reader.take(1)
    return _decode_one(reader, item, scope, parent, depth)


def _decode_one(reader: _Reader, item: Item, scope: Scope, parent: Struct, depth: int) -> Value:
    kind = item.kind
    if item.integer_bytes:
        return int.from_bytes(reader.take(item.integer_bytes), "big", signed=True)
    if item.is_text:
        return reader.text(None if item.max_bytes is None else scope.length(item.max_bytes))
    if kind is Kind.STRUCT:
        return _decode_struct(reader, item.name, scope, depth + 1)
    return _decode_struct(reader, _dependent_struct(item, parent), scope, depth + 1)


def _dependent_struct(item: Item, parent: Struct) -> str:
    name = parent.get(item.depends_on)
    if not name:
        raise RemoteWireError(f"`{item.name}` is there but `{item.depends_on}` does not say what it is")
    try:
        plan(name)
    except LocalWireError as unknown:
        raise RemoteWireError(str(unknown)) from None
    return str(name)
