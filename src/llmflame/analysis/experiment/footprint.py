"""Does a row need more memory than the stock model?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Literal

LEAST_SHARE = 0.02
LEAST_BYTES = 16 << 20
"""Below both the difference is that of two processes: import order, allocator, page cache."""

MemoryVerdict = Literal["needs more", "needs less", "same"]


def memory_verdict(base: Sequence[int], other: Sequence[int]) -> MemoryVerdict | None:
    """From the peaks of the trials, in bytes; None where either is unknown.

    More or less only where no trial of one side reaches the other side's, and the medians differ by
    `LEAST_SHARE` and `LEAST_BYTES`.
    """
    if not base or not other:
        return None
    difference = median(other) - median(base)
    if abs(difference) < max(LEAST_BYTES, LEAST_SHARE * median(base)):
        return "same"
    if difference > 0:
        return "needs more" if min(other) > max(base) else "same"
    return "needs less" if max(other) < min(base) else "same"
