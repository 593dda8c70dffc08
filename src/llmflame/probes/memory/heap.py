"""What the C library's allocator and Python's own say of themselves: bytes in use, bytes kept for later."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
from dataclasses import dataclass

_FIELDS = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)


class _Mallinfo2(ctypes.Structure):
    """glibc's `struct mallinfo2`, malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


@dataclass(frozen=True, slots=True)
class HeapUse:
    """Bytes of malloc over all its arenas."""

    used_bytes: int
    """Given out, directly mapped blocks included (uordblks + hblkhd)."""
    free_bytes: int
    """Kept in its arenas for later (fordblks)."""


class Heap:
    """glibc's allocator. `read` is None where the C library is another one."""

    def __init__(self) -> None:
        self._call = None
        try:
            self._call = ctypes.CDLL(None).mallinfo2
            self._call.restype = _Mallinfo2
        except (OSError, AttributeError, TypeError):
            self._call = None

    def read(self) -> HeapUse | None:
        """Under a microsecond or two."""
        if self._call is None:
            return None
        info = self._call()
        return HeapUse(info.uordblks + info.hblkhd, info.fordblks)


_ARENAS = re.compile(rb"(\d[\d,]*) arenas \* \d+ bytes/arena\s*=\s*([\d,]+)")


def python_arena_bytes() -> int | None:
    """Bytes of the arenas that Python keeps its small objects in, free ones among them; None where unknown.

    CPython tells it on the C library's standard error alone, which is another file for that instant. What
    others write there in that millisecond is lost.
    """
    describe = getattr(sys, "_debugmallocstats", None)
    if describe is None:
        return None
    try:
        with tempfile.TemporaryFile() as caught:
            kept = os.dup(2)
            try:
                os.dup2(caught.fileno(), 2)
                try:
                    describe()
                finally:
                    os.dup2(kept, 2)
            finally:
                os.close(kept)
            caught.seek(0)
            text = caught.read()
    except OSError:
        return None
    match = _ARENAS.search(text)
    return int(match.group(2).replace(b",", b"")) if match else None
