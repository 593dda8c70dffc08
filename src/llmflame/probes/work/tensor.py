"""What the tracer keeps of a tensor: its shape, how it lies in memory, and which storage holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import TypeAlias

ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "bool": 1,
        "uint8": 1,
        "int8": 1,
        "uint16": 2,
        "int16": 2,
        "uint32": 4,
        "int32": 4,
        "uint64": 8,
        "int64": 8,
        "float8_e4m3fn": 1,
        "float8_e4m3fnuz": 1,
        "float8_e5m2": 1,
        "float8_e5m2fnuz": 1,
        "float8_e8m0fnu": 1,
        "float16": 2,
        "bfloat16": 2,
        "float32": 4,
        "float64": 8,
        "complex32": 4,
        "complex64": 8,
        "complex128": 16,
    }
)
"""Bytes of one element. Packed and quantised types are left out: their bytes depend on more than the type."""

SCALAR_TYPES: Mapping[int, str] = MappingProxyType(
    {
        0: "uint8",
        1: "int8",
        2: "int16",
        3: "int32",
        4: "int64",
        5: "float16",
        6: "float32",
        7: "float64",
        8: "complex32",
        9: "complex64",
        10: "complex128",
        11: "bool",
        15: "bfloat16",
        23: "float8_e5m2",
        24: "float8_e4m3fn",
        25: "float8_e5m2fnuz",
        26: "float8_e4m3fnuz",
        44: "float8_e8m0fnu",
    }
)
"""c10::ScalarType: the tracer records an argument `dtype` as this number (c10/core/ScalarType.h)."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as an operator saw it when it was called."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements; empty where it isn't known, which reads as contiguous."""
    dtype: str
    """torch's name without its package: "bfloat16", "int64" ..."""
    storage: int | None = None
    """Address of its storage."""
    identity: int | None = None
    """Address of the tensor object itself: tells one tensor given twice from two slices of one storage."""

    @property
    def numel(self) -> int:
        """The elements that an operator sees: the product of the sizes."""
        return prod(self.sizes)

    @property
    def elements(self) -> int:
        """The distinct elements in memory: an expanded dimension (stride 0) counts once.

        Overlapping windows (`unfold`) never count more than the stretch of memory that they lie in.
        """
        if len(self.strides) != len(self.sizes):
            return self.numel
        if 0 in self.sizes:
            return 0
        apart = prod(size for size, stride in zip(self.sizes, self.strides, strict=True) if stride)
        stretch = sum((size - 1) * abs(stride) for size, stride in zip(self.sizes, self.strides, strict=True))
        return min(apart, stretch + 1)

    @property
    def item_bytes(self) -> int:
        """Bytes of one element. Raises KeyError for a type that isn't in `ITEM_BYTES`."""
        return ITEM_BYTES[self.dtype]

    @property
    def bytes(self) -> int:
        """Bytes of the distinct elements. Raises KeyError for a type that isn't in `ITEM_BYTES`."""
        return self.elements * self.item_bytes


Argument: TypeAlias = Tensor | list[Tensor] | list[int] | int | float | bool | None
"""One argument of an operator; what the tracer doesn't keep (strings, generators ...) is None.

torch's event tree keeps no lists of integers (dims, strides, sizes): they are None there. Where a caller
knows them from elsewhere, they may be given as they are.
"""
