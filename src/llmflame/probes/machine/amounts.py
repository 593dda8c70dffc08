"""Amounts as files and tools write them: sizes, CPU lists, frequencies."""

from __future__ import annotations

import re

KIB = 1024
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?(?:\s.*)?", re.IGNORECASE)
_FACTORS = {"": 1, "K": KIB, "M": KIB**2, "G": KIB**3, "T": KIB**4}
MAX_CPUS = 1 << 20


def parse_size_bytes(text: str) -> int:
    """Bytes of `48K`, `2M`, `32 MiB`, `24684092 kB`; powers of 1024, as the kernel and lscpu mean them."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return round(float(match[1]) * _FACTORS[match[2].upper()])


def parse_cpu_list(text: str) -> list[int]:
    """CPU numbers of `0-3,8`, sorted and once each."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high < MAX_CPUS:
            raise ValueError(f"not a CPU list: {text!r}")
        numbers.update(range(low, high + 1))
    return sorted(numbers)


def positive_int(text: str) -> int | None:
    """A whole number above zero; zero and less mean that the source does not know."""
    number = int(text, 0)
    return number if number > 0 else None
