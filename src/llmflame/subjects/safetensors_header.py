"""The header of a safetensors file: names, dtypes and shapes, read and checked with the standard library."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from llmflame.errors import UsageError

MAXIMUM_HEADER_BYTES = 100_000_000
"""The format's own limit."""
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64,
}  # fmt: skip
_TORCH_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
    "BOOL": "bool", "C64": "complex64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a safetensors file."""

    name: str
    dtype: str
    """In the format's spelling (`BF16`)."""
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the end of the header."""
    end: int

    @property
    def elements(self) -> int:
        """The number of elements; 1 for a scalar."""
        return math.prod(self.shape)


def torch_name(dtype: str) -> str:
    """The format's dtype in torch's spelling, or in lower case where torch has none."""
    return _TORCH_NAMES.get(dtype, dtype.lower())


def read(path: Path) -> tuple[TensorEntry, ...]:
    """All entries of the file, sorted by place. Raises UsageError with one line for a damaged file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAXIMUM_HEADER_BYTES, size - 8):
                raise UsageError(
                    f"{path} is no whole safetensors file: its header would be {length:,} bytes long, "
                    f"the file has {size:,}"
                )
            header = _parse(path, file.read(length))
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})") from error
    entries = [_entry(path, name, value) for name, value in header.items() if name != "__metadata__"]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    _check_places(path, entries, size - 8 - length)
    return tuple(entries)


def _parse(path: Path, header: bytes) -> dict[str, Any]:
    try:
        document = json.loads(header)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UsageError(f"{path} is no safetensors file: its header isn't a JSON object")
    return document


def _entry(path: Path, name: str, value: Any) -> TensorEntry:
    """A checked entry: known dtype, natural numbers, and as many bytes as dtype and shape need."""
    fields = value if isinstance(value, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not (isinstance(dtype, str) and _are_naturals(shape) and _are_naturals(offsets) and len(offsets) == 2):
        raise UsageError(f"{path} is damaged: the header entry of tensor `{name[:80]}` is malformed")
    if dtype not in _BITS:
        raise UsageError(f"{path} has tensor `{name[:80]}` of dtype {dtype[:20]}, which is unknown here")
    entry = TensorEntry(name, dtype, tuple(shape), offsets[0], offsets[1])
    if (entry.end - entry.begin) * 8 != entry.elements * _BITS[dtype]:
        raise UsageError(f"{path} is damaged: tensor `{name[:80]}` doesn't fill the bytes of its entry")
    return entry


def _are_naturals(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_places(path: Path, entries: list[TensorEntry], data_bytes: int) -> None:
    """The tensors must fill the rest of the file without gap or overlap, as the format asks."""
    needed = max((entry.end for entry in entries), default=0)
    if needed > data_bytes:
        raise UsageError(
            f"{path} is cut off: its tensors need {needed:,} bytes and {data_bytes:,} are there; "
            "download it again"
        )
    place = 0
    for entry in entries:
        if entry.begin != place:
            raise UsageError(
                f"{path} is damaged: tensor `{entry.name[:80]}` doesn't begin where another ends"
            )
        place = entry.end
    if place != data_bytes:
        raise UsageError(f"{path} is damaged: {data_bytes - place:,} bytes at its end belong to no tensor")
