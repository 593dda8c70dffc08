"""The few parts of protobuf's wire format that a message of numbers, texts and messages needs.

A dependency would bring a compiler's output and a native library for two kinds of fields.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_VARINT = 0
_LENGTH = 2
_WORD = 1 << 64


@lru_cache(maxsize=1 << 16)
def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; negative numbers as 64 bits."""
    value %= _WORD
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(field: int, value: int) -> bytes:
    """A field with a whole number; nothing for 0, which is what a reader takes for missing."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""


def content(field: int, value: bytes) -> bytes:
    """A field with a text or a message, which may be empty."""
    return varint(field << 3 | _LENGTH) + varint(len(value)) + value


def numbers(field: int, values: Iterable[int]) -> bytes:
    """A packed list of whole numbers."""
    return content(field, b"".join(map(varint, values)))
