"""Bytes in the process's memory: the simplest driver that keeps the contract, for tests and scratch zones."""

import threading
import time

from resources.errors import FileMissing, PlaceTaken
from resources.protocol import Capabilities, Stat, VaultPath


class _Content:
    __slots__ = ("data", "modified_at")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.modified_at = time.time()


class _Open:
    """An open file; keeps its content alive when the name goes."""

    def __init__(self, content: _Content, lock: threading.RLock) -> None:
        self._content = content
        self._lock = lock

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        with self._lock:
            held = self._content.data
            if len(held) < offset:
                held.extend(bytes(offset - len(held)))
            held[offset : offset + len(data)] = data
            self._content.modified_at = time.time()
            return len(data)

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        with self._lock:
            part = self._content.data[offset : offset + len(buffer)]
            buffer[: len(part)] = part
            return len(part)

    def size(self) -> int:
        return len(self._content.data)

    def truncate(self, size_bytes: int) -> None:
        with self._lock:
            held = self._content.data
            if size_bytes < len(held):
                del held[size_bytes:]
            else:
                held.extend(bytes(size_bytes - len(held)))

    def sync(self) -> None:
        return None

    def descriptor(self) -> int | None:
        return None

    def close(self) -> None:
        return None


class MemoryDriver:
    """A vault that lives as long as this object."""

    capabilities = Capabilities(has_descriptors=False, survives_restart=False)

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._staged: dict[str, _Content] = {}
        self._placed: dict[tuple[str, ...], _Content] = {}

    def check(self) -> None:
        return None

    def free_bytes(self) -> int | None:
        return None

    def physical_path(self, place: VaultPath) -> str:
        return f"memory:/{place.text}"

    def stage(self, name: str, size_bytes: int = -1) -> _Open:
        with self._lock:
            if name in self._staged:
                raise PlaceTaken(f"a file is staged as `{name}` already")
            content = self._staged[name] = _Content()
            return _Open(content, self._lock)

    def open_staged(self, name: str, size_bytes: int = -1) -> _Open:
        with self._lock:
            if name not in self._staged:
                raise FileMissing(f"nothing is staged as `{name}`")
            return _Open(self._staged[name], self._lock)

    open_staged_for_reading = open_staged

    def stage_copy(self, source: VaultPath | str, name: str) -> _Open:
        with self._lock:
            content = (
                self._staged.get(source) if isinstance(source, str) else self._placed.get(source.components)
            )
            if content is None:
                raise FileMissing(f"nothing to copy at `{source}`")
            copy = self.stage(name)
            copy.write(bytes(content.data), 0)
            return copy

    def _is_folder(self, components: tuple[str, ...]) -> bool:
        return any(
            len(key) > len(components) and key[: len(components)] == components for key in self._placed
        )

    def _require_room(self, components: tuple[str, ...]) -> None:
        if self._is_folder(components):
            raise PlaceTaken(f"`{'/'.join(components)}` is a folder")
        for length in range(1, len(components)):
            if components[:length] in self._placed:
                raise PlaceTaken(f"`{'/'.join(components[:length])}` is a file")

    def place(self, name: str, place: VaultPath) -> None:
        with self._lock:
            if name not in self._staged:
                if place.components in self._placed:
                    return
                raise FileMissing(f"nothing is staged as `{name}`")
            self._require_room(place.components)
            self._placed[place.components] = self._staged.pop(name)

    def sync_places(self, places: list[VaultPath]) -> None:
        return None

    def open(self, place: VaultPath) -> _Open:
        with self._lock:
            if place.components not in self._placed:
                raise FileMissing(f"no file at `{place.text}`")
            return _Open(self._placed[place.components], self._lock)

    def stat(self, place: VaultPath) -> Stat:
        with self._lock:
            content = self._placed.get(place.components)
            if content is None:
                raise FileMissing(f"no file at `{place.text}`")
            return Stat(len(content.data), content.modified_at)

    def move(self, source: VaultPath, target: VaultPath) -> None:
        with self._lock:
            moved = {
                key: content
                for key, content in self._placed.items()
                if key[: len(source.components)] == source.components
            }
            if not moved:
                return
            if target.components in self._placed or self._is_folder(target.components):
                raise PlaceTaken(f"`{target.text}` is taken")
            for key, content in moved.items():
                del self._placed[key]
                self._placed[target.components + key[len(source.components) :]] = content

    def unlink(self, place: VaultPath) -> None:
        with self._lock:
            self._placed.pop(place.components, None)

    def unlink_staged(self, name: str) -> None:
        with self._lock:
            self._staged.pop(name, None)

    def remove_folder(self, place: VaultPath) -> None:
        return None  # folders are only prefixes here

    def staged_names(self) -> list[tuple[str, float]]:
        with self._lock:
            return [(name, content.modified_at) for name, content in self._staged.items()]
