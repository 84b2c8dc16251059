"""Memory that a disk takes bytes from without a copy in between."""

import mmap


def aligned_buffer(size_bytes: int) -> memoryview:
    """Zeros that begin at a page of memory, as direct writes want it; goes when nobody holds it any more."""
    return memoryview(mmap.mmap(-1, max(size_bytes, 1)))[:size_bytes]
