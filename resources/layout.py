"""How files lie on a parallel or local file system: room taken ahead, and stripes over its servers.

Both are for the file system to take or leave. Stripes are set on the staging folder, once: files get their layout when they are made,
and keep it when they are renamed to their place.

Source: fallocate(2) and sync_file_range(2), Linux man-pages 6; `struct lov_user_md_v1` of `lustre_user.h` and the attribute `lustre.lov`, Lustre 2.15.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from resources.context import Kind, Value
from resources.errors import PermanentResourceError

CONTEXT: Final[dict[str, Kind]] = {
    "preallocate": ("on", "off"), "direct": ("on", "off"), "stripe_count": "count", "stripe_size": "bytes",
}  # fmt: skip
"""What the context string of a vault on a file system may say of it."""

STRIPE_STEP: Final = 1 << 16
"""Stripes are a multiple of this long, in bytes."""

_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE
_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE
WRITE_BACK_BYTES: Final = 64 << 20
"""How much is written before it is sent on to the disk."""

_LOV_USER_MAGIC_V1: Final = 0x0BD10BD0
_ANY: Final = 0xFFFF  # stripe_offset: begin at any server
_NOT_KNOWN: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY})


@dataclass(frozen=True, slots=True)
class Layout:
    """What is asked of a file system.

    Attributes:
        preallocate: take the room of a file before its bytes arrive, where its size is known.
        direct: write large files past the page cache.
        stripe_count: over so many servers; 0 leaves it.
        stripe_size: bytes on one before the next; 0 leaves it.
    """

    preallocate: bool = False
    direct: bool = True
    stripe_count: int = 0
    stripe_size: int = 0

    @classmethod
    def of(cls, said: Mapping[str, Value]) -> "Layout":
        """From a context string's settings.

        Raises:
            PermanentResourceError: stripes of a length that no file system makes.
        """
        size = int(said.get("stripe_size", 0))
        if size % STRIPE_STEP:
            raise PermanentResourceError(f"`stripe_size` is {size}; a multiple of 64 KiB was expected")
        return cls(
            said.get("preallocate") == "on",
            said.get("direct") != "off",
            int(said.get("stripe_count", 0)),
            size,
        )

    @property
    def has_stripes(self) -> bool:
        return bool(self.stripe_count or self.stripe_size)


def write_back(descriptor: int) -> None:
    """Let what was written begin its way to the disk, so that a later sync finds little left to wait for.

    A hint: what it says is not looked at, because the sync says it again.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "sync_file_range"):
        libc.sync_file_range(descriptor, ctypes.c_longlong(0), ctypes.c_longlong(0), _WRITE)


def take_room(descriptor: int, size_bytes: int) -> bool:
    """Take a file's room ahead, without changing its size; False where the file system does not do that.

    Raises:
        OSError: there is not so much (ENOSPC, EDQUOT, EFBIG).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fallocate"):
        return False
    if libc.fallocate(descriptor, _KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(size_bytes)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_KNOWN:
        return False
    raise OSError(number, os.strerror(number))


def set_stripes(folder: int, layout: Layout) -> str:
    """Have the files that are made in a folder from now on striped.

    Args:
        folder: a descriptor.
        layout: with stripes.

    Returns:
        Why the file system does not do it; empty where it does.
    """
    wanted = struct.pack(
        "<IIQQIHH", _LOV_USER_MAGIC_V1, 0, 0, 0, layout.stripe_size, layout.stripe_count, _ANY
    )
    try:
        os.setxattr(folder, "lustre.lov", wanted)
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""
