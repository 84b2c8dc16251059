"""Logical paths: the only place that splits or joins one.

A logical path is absolute, `/zone/...`, without empty, `.` or `..` components, without a trailing slash and
without NUL, valid UTF-8, at most 1,087 bytes. Names are stored as sent: never normalised, never case-folded,
trailing spaces kept.
"""

from dataclasses import dataclass
from typing import Final

MAX_PATH_BYTES: Final = 1087
MAX_NAME_BYTES: Final = 1000


class InvalidPath(ValueError):
    """Text that is no logical path.

    Attributes:
        relative: the path does not begin with a slash.
    """

    def __init__(self, message: str, *, relative: bool = False) -> None:
        super().__init__(message)
        self.relative = relative


@dataclass(frozen=True, slots=True)
class LogicalPath:
    """A checked logical path; constructed means valid."""

    text: str

    @property
    def zone_name(self) -> str:
        return self.text.split("/", 2)[1]

    @property
    def parent(self) -> str:
        """The collection it lies in; the root is its own parent."""
        return self.text.rpartition("/")[0] or "/"

    @property
    def name(self) -> str:
        return self.text.rpartition("/")[2]

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> LogicalPath:
    """Check a path and strip its trailing slashes.

    Raises:
        InvalidPath: with what is wrong.
    """
    if not text.startswith("/"):
        raise InvalidPath(
            f"`{printable(text)}` is not absolute; a logical path begins with `/zone`", relative=True
        )
    if len(text) > 1 and text.endswith("/"):
        text = text.rstrip("/") or "/"
    try:
        length = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidPath(f"`{printable(text)}` is not valid UTF-8") from None
    if length > MAX_PATH_BYTES:
        raise InvalidPath(f"the path is {length} bytes long; at most {MAX_PATH_BYTES} are possible")
    if "\0" in text:
        raise InvalidPath(f"`{printable(text)}` holds a NUL")
    if text != "/":
        for component in text[1:].split("/"):
            if component in ("", ".", ".."):
                raise InvalidPath(f"`{printable(text)}` has the component `{component}`, which names nothing")
            if len(component) > MAX_NAME_BYTES // 4 and len(component.encode()) > MAX_NAME_BYTES:
                raise InvalidPath(f"a name in the path is longer than {MAX_NAME_BYTES} bytes")
    return LogicalPath(text)


def join(collection: str, name: str) -> str:
    return f"/{name}" if collection == "/" else f"{collection}/{name}"


def split(path: str) -> tuple[str, str]:
    """The collection and the name of a checked path."""
    collection, _, name = path.rpartition("/")
    return collection or "/", name


def ancestors(path: str) -> list[str]:
    """Every collection above a checked path, the root first."""
    found = ["/"]
    position = path.find("/", 1)
    while position > 0:
        found.append(path[:position])
        position = path.find("/", position + 1)
    return found


def is_below(path: str, collection: str) -> bool:
    """Whether `path` lies in the tree under `collection`, itself not included."""
    return path.startswith("/" if collection == "/" else collection + "/") and path != collection


def subtree_bounds(collection: str) -> tuple[str, str]:
    """The half-open range of paths below a collection, bytewise: `path >= low AND path < high`."""
    return ("/", "0") if collection == "/" else (collection + "/", collection + "0")


def printable(text: str) -> str:
    """The text with what a terminal or a log would stumble over replaced."""
    return text[:200].encode("utf-8", "backslashreplace").decode().encode("unicode_escape").decode("ascii")
