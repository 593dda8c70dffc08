"""Which changes of a frame can't be told from those that its phase shows by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmflame.analysis.compare.interval import Interval, Verdict
from llmflame.store.model import Metric

LEAST_OF_PHASE = 0.01
LEAST_OF_RUN = 0.001
"""Times below these shares come from a few traced steps and say nothing by themselves."""


@dataclass(frozen=True, slots=True)
class Band:
    """Ratios between which a frame's change is noise, and the change in ns that is noise at any ratio."""

    low: float
    high: float
    least_ns: float

    def holds(self, before: float, after: float) -> bool:
        """Whether a change is noise. `before` and `after` in ns."""
        if abs(after - before) <= self.least_ns:
            return True
        return before > 0 and self.low <= after / before <= self.high


Bands = Mapping[str, Band]
"""By phase; a phase that isn't there has no interval, so that nothing is known of its frames' noise."""


def band_of(interval: Interval, phase_ns: tuple[float, float], run_ns: tuple[float, float]) -> Band:
    """From the interval of a phase's own ratio, and what phase and run took in A and B.

    How far the interval reaches from what was seen is how far any part of the phase may be off: that, laid
    about 1, is the band. Where the interval holds 1 the phase wasn't seen to change, and what a frame shares
    of that is no change either: then the band also holds the interval itself.
    """
    seen = phase_ns[1] / phase_ns[0] if phase_ns[0] and phase_ns[1] else 1.0
    low, high = min(interval.low / seen, 1.0), max(interval.high / seen, 1.0)
    if interval.holds(1.0):
        low, high = min(low, interval.low), max(high, interval.high)
    return Band(low, high, max(LEAST_OF_PHASE * max(phase_ns), LEAST_OF_RUN * max(run_ns)))


def change_verdict(before: float, after: float, metric: Metric, band: Band | None) -> Verdict:
    """A word for two values: times against the band of their phase, counts and bytes as they are."""
    if metric.unit != "ns":
        return "same" if round(after - before) == 0 else "more" if after > before else "less"
    if band is None:
        return "unknown"
    if band.holds(before, after):
        return "noise"
    return "slower" if after > before else "faster"
