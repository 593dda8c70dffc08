"""Amounts of memory as people write them."""

from __future__ import annotations

import math
import re

from llmflame.errors import UsageError

_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(ib|b|i)?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
DECIMAL, BINARY = 1000, 1024


def parse_size(text: str) -> int:
    """Bytes: `80GB` is 80 x 1000^3, `79.6GiB` and `24G` are in steps of 1024. Raises UsageError."""
    match = _SIZE.fullmatch(text) if len(text) <= 40 else None
    amount = 0.0
    if match is not None:
        number, prefix, ending = match.groups()
        step = DECIMAL if (ending or "").lower() == "b" else BINARY
        amount = float(number) * step ** _POWERS[prefix.lower()]
    if not 1 <= amount < math.inf:
        raise UsageError(f"{text[:40]!r} is no amount of memory: write 80GB, 79.6GiB or 24G")
    return int(amount)
