"""How much faster one way to run a model is than another, from rounds in which both ran."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Literal

from llmflame.analysis.compare.interval import student_quantile

CONFIDENCE = 0.99
"""Of an interval. An experiment has many rows, and a person believes the one that stands out: at 95 % one row
in twenty that changes nothing would be called faster or slower."""
LEAST_EFFECT = 0.01
"""A change of a hundredth is none that a person would act on, however sure it is."""
LEAST_ROUNDS = 4
"""Of three processes all three may have had the luck that a process has once and for all: where half of them
have it, that happens in 3 of 100 experiments."""

SpeedVerdict = Literal["faster", "slower", "no difference", "unclear"]


@dataclass(frozen=True, slots=True)
class Speedup:
    """A ratio of times, the other's over this one's: 2 is twice as fast."""

    ratio: float
    """The median of the rounds' ratios."""
    low: float
    high: float
    rounds: int
    confidence: float

    @property
    def verdict(self) -> SpeedVerdict:
        """`no difference` where the interval holds 1, or where the ratio is within `LEAST_EFFECT` of it."""
        if self.low <= 1 <= self.high or abs(math.log(self.ratio)) < math.log1p(LEAST_EFFECT):
            return "no difference"
        return "faster" if self.ratio > 1 else "slower"


def speedup(base: Sequence[float], other: Sequence[float], confidence: float = CONFIDENCE) -> Speedup | None:
    """The ratio base / other with its interval; None with fewer than `LEAST_ROUNDS`. Times by round, above 0.

    Student's t interval of the mean logarithm of the rounds' ratios, taken back by the exponential and
    widened until it holds their median. Within a round the order is drawn at random, so that where nothing
    differs a ratio is as likely as its inverse, whatever drifts: then the interval leaves out 1 in at most
    1 - `confidence` of all experiments where logarithms of ratios are normal, and more seldom where they
    have heavy tails (a stray value widens the interval more than it moves it; Efron, "Student's t-test
    under symmetry conditions", JASA 64, 1969). A process is one sample: requests of one process share its
    layout of memory, and ranks or resampling of five processes can't give an interval of 99 %.
    """
    ratios = [math.log(a / b) for a, b in zip(base, other, strict=True)]
    if len(ratios) < LEAST_ROUNDS:
        return None
    middle, seen = fmean(ratios), median(ratios)
    reach = (
        student_quantile(1 - (1 - confidence) / 2, len(ratios) - 1) * stdev(ratios) / math.sqrt(len(ratios))
    )
    low, high = min(middle - reach, seen), max(middle + reach, seen)
    return Speedup(math.exp(seen), math.exp(low), math.exp(high), len(ratios), confidence)
