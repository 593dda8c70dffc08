"""How sure a change is: an interval of the ratio of two medians from a few repetitions, and a word for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median, variance
from typing import Literal

CONFIDENCE = 0.95
LEAST_REPETITIONS = 2
"""On each side: one value says nothing of how far another would have been from it."""
BETWEEN_RECORDINGS = 0.035
"""What two recordings of the same thing differ by though the repetitions in each agree: a process has one
layout of memory, one set of plans, one stretch of the machine's time. On an H200 medians over seven requests
(E2E, TPOT, TTFT) differed by 3.5 % at most; on a machine with other work by more than any constant says."""
_PANELS = 64
_HALVINGS = 60

Verdict = Literal["faster", "slower", "more", "less", "same", "no difference seen", "noise", "unknown"]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the ratio B / A lies, at `CONFIDENCE`."""

    low: float
    high: float

    def holds(self, ratio: float) -> bool:
        """Whether a ratio is in it."""
        return self.low <= ratio <= self.high


def ratio_interval(before: Sequence[float], after: Sequence[float]) -> Interval | None:
    """An interval of median(after) / median(before); None where there is too little to tell.

    The t interval of the difference of mean logarithms, with as many degrees of freedom as the smaller
    sample has (P. L. Hsu, "Contribution to the theory of 'Student's' t-test as applied to the problem of two
    samples", Statistical Research Memoirs 2, 1938; H. Scheffe, "Practical solutions of the Behrens-Fisher
    problem", JASA 65, 1970: never too narrow, whatever the two variances are), taken back by the
    exponential. Where logarithms of times spread evenly about their middle, which is all that is assumed,
    mean and median are estimates of the same thing. Bootstraps and ranks can't do it: of two or three
    repetitions a side no interval of 95 % can be made from ranks, and resampling them is far too sure.

    It is widened until it holds the ratio of the medians that were seen, and then by `BETWEEN_RECORDINGS`.
    Nothing in it is random: equal samples give equal intervals. Repetitions, not steps, are the samples:
    steps of one request share what slowed that request down. None with fewer than `LEAST_REPETITIONS` on a
    side, with a value that is not above 0, or where medians differ and no value differs from another of its
    side: then it was not measured finely enough to tell.
    """
    if min(len(before), len(after)) < LEAST_REPETITIONS or min(*before, *after) <= 0:
        return None
    seen = median(after) / median(before)
    logs = [[math.log(value) for value in values] for values in (before, after)]
    error = math.sqrt(sum(variance(values) / len(values) for values in logs))
    if error == 0 and seen != 1:
        return None
    middle = fmean(logs[1]) - fmean(logs[0])
    freedom = min(len(before), len(after)) - 1
    reach = student_quantile(1 - (1 - CONFIDENCE) / 2, freedom) * error
    allowed = 1 + BETWEEN_RECORDINGS
    return Interval(min(_exp(middle - reach), seen) / allowed, max(_exp(middle + reach), seen) * allowed)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def verdict_of(interval: Interval | None, *, more_is_better: bool = False) -> Verdict:
    """`faster` or `slower` where the interval leaves 1 out, else that no difference was seen."""
    if interval is None:
        return "unknown"
    if interval.holds(1.0):
        return "no difference seen"
    return "faster" if (interval.low > 1) == more_is_better else "slower"


@cache
def student_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution, for `probability` in 0.5 .. 1 and `freedom` of at least 1.

    With t = sqrt(v) tan(a) the density becomes cos(a) ** (v - 1) over a constant (substitution in the
    density, Student, "The probable error of a mean", 1908): smooth on the way to every quantile that is
    asked for, so that Simpson's rule and halving find it to nine digits.
    """
    log_whole = 0.5 * math.log(math.pi) + math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)
    wanted = (probability - 0.5) * math.exp(log_whole)
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _area(middle, freedom) < wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _area(end: float, freedom: float) -> float:
    """The integral of cos(a) ** (freedom - 1) from 0 to `end`, by Simpson's rule."""
    step = end / _PANELS
    values: list[float] = [
        max(math.cos(number * step), 0.0) ** (freedom - 1) for number in range(_PANELS + 1)
    ]
    return (
        step
        / 3
        * math.fsum(
            [values[0], values[-1], *(4 * v for v in values[1:-1:2]), *(2 * v for v in values[2:-1:2])]
        )
    )
