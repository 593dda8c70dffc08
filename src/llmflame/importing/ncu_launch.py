"""One launch of a kernel as Nsight Compute writes it, whichever of its tables it stands in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

KERNEL, LAUNCH, PROCESS, PROCESS_NAME, GRID, CAPABILITY = (
    "Kernel Name", "ID", "Process ID", "Process Name", "Grid Size", "CC",
)  # fmt: skip
DURATION = re.compile(r"gpu__time_duration(?:\.(?:sum|avg|max|min))?|Duration")
"""Of one launch the sum, the average and the extremes are the same; `Duration` is what --page details calls
it."""
STALL = re.compile(r"smsp__pcsamp_warps_issue_stalled_(?P<reason>\w+?)(?P<twin>_not_issued)?(?:\.sum)?")
"""Counts of samples. The ratios that other metrics of stalls are can't be added up."""
BLOCKS = "launch__grid_size"
PROCESSORS = ("launch__sm_count", "device__attribute_multiprocessor_count")
DEVICE_NAME = "device__attribute_display_name"
_NS = {
    "": 1.0, "ns": 1.0, "nsecond": 1.0, "us": 1e3, "usecond": 1e3, "ms": 1e6, "msecond": 1e6,
    "s": 1e9, "second": 1e9,
}  # fmt: skip
_UNKNOWN = frozenset({"", "n/a", "nan", "(!) n/a", "-nan"})
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
MOST = float(1 << 53)
"""Nanoseconds, or samples, of one launch: a hundred days, and as far as whole numbers of a double reach."""
_PLACES = re.compile(r"\d{1,10}")


class WrongValueError(ValueError):
    """What a table says can't be."""


@dataclass(slots=True)
class Launch:
    """A launch, its metrics as far as a profile has a use for them."""

    kernel: str
    process: str
    grid: str
    device_ns: float | None = None
    reasons: dict[str, float] = field(default_factory=dict)
    not_issued: dict[str, float] = field(default_factory=dict)
    blocks: float | None = None
    processors: float | None = None
    device: str | None = None
    capability: str | None = None

    def take(self, metric: str, unit: str, text: str) -> None:
        """Take one metric's value, if it is one of those. Raises WrongValueError where it can't be."""
        if DURATION.fullmatch(metric):
            value = number(metric, text)
            if value is not None:
                self.device_ns = _in_ns(metric, unit, value)
        elif (stall := STALL.fullmatch(metric)) is not None:
            value = number(metric, text)
            if value is not None:
                counts = self.not_issued if stall["twin"] else self.reasons
                counts[stall["reason"]] = value
        elif metric == BLOCKS:
            self.blocks = number(metric, text)
        elif metric in PROCESSORS:
            self.processors = number(metric, text)
        elif metric == DEVICE_NAME:
            self.device = text or None

    @property
    def small(self) -> bool:
        """Has its grid fewer blocks than the device has multiprocessors?"""
        blocks = self.blocks if self.blocks is not None else _product(self.grid)
        return blocks is not None and self.processors is not None and blocks < self.processors

    @property
    def samples(self) -> dict[str, tuple[int, int]]:
        """By reason. Both counts may come from different replays of the kernel: the part is at most the
        whole."""
        found = {}
        for reason in sorted({*self.reasons, *self.not_issued}):
            lost = self.not_issued.get(reason, 0.0)
            count = round(self.reasons.get(reason, lost))
            if count:
                found[reason] = count, min(round(lost), count)
        return found


def wanted(metric: str) -> bool:
    """Has a profile a use for this metric?"""
    if DURATION.fullmatch(metric) or STALL.fullmatch(metric):
        return True
    return metric in (BLOCKS, *PROCESSORS, DEVICE_NAME)


def number(metric: str, text: str) -> float | None:
    """A value as Nsight Compute writes it, `1,632.5`; None where it says that it has none."""
    text = text.strip()
    if text.lower() in _UNKNOWN:
        return None
    value = float(text.replace(",", "")) if _NUMBER.fullmatch(text) else math.nan
    if not 0 <= value <= MOST:
        raise WrongValueError(f"{metric} is {text[:40]!r}, which is no number of anything")
    return value


def _in_ns(metric: str, unit: str, value: float) -> float:
    factor = _NS.get(unit.strip().lower())
    if factor is None:
        raise WrongValueError(
            f"{metric} is in {unit[:40]!r}: known are {', '.join(sorted(filter(None, _NS)))}"
        )
    return value * factor


def _product(grid: str) -> float | None:
    """Of a grid's sides, `(1056, 1, 1)`."""
    sides = _PLACES.findall(grid[:100])
    return float(math.prod(int(side) for side in sides)) if sides else None
