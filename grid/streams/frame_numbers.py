"""Numbers of frames that something is true of."""


class FrameNumbers:
    """A set of numbers, a byte for each up to the highest: what a stream may have of them takes 10 MB."""

    def __init__(self) -> None:
        self._have = bytearray()

    def __contains__(self, number: int) -> bool:
        return 0 <= number < len(self._have) and bool(self._have[number])

    def add(self, first: int, last: int = -1) -> None:
        """Put in a number, or a run of them."""
        last = max(first, last)
        if last >= len(self._have):
            self._have.extend(bytes(last + 4096 - len(self._have)))
        if first == last:
            self._have[first] = 1
        else:
            self._have[first : last + 1] = b"\x01" * (last + 1 - first)
