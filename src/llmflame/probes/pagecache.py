"""How much of a file lies in the page cache: was a load cold or warm?"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path


def cached_share(files: Iterable[Path]) -> float | None:
    """The share of the files' pages that is in memory, 0 to 1; None where the system can't tell."""
    resident = total = 0
    for file in files:
        pages = _resident_pages(file)
        if pages is None:
            return None
        resident += pages[0]
        total += pages[1]
    return resident / total if total else None


def _resident_pages(file: Path) -> tuple[int, int] | None:
    try:
        mincore = ctypes.CDLL(None, use_errno=True).mincore
    except (OSError, AttributeError, TypeError):
        return None
    try:
        size = file.stat().st_size
        if not size:
            return 0, 0
        with file.open("rb") as handle:
            # Private and writable only in name: ctypes hands out addresses of writable buffers alone.
            view = mmap.mmap(
                handle.fileno(), size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
    except (OSError, ValueError):
        return None
    with view:
        pages = -(-size // os.sysconf("SC_PAGE_SIZE"))
        vector = (ctypes.c_ubyte * pages)()
        address = ctypes.c_char.from_buffer(view)
        failed = mincore(ctypes.c_void_p(ctypes.addressof(address)), ctypes.c_size_t(size), vector)
        del address
        if failed:
            return None
        return sum(page & 1 for page in bytes(vector)), pages
