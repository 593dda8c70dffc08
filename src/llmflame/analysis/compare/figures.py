"""The few numbers that people compare, of two runs, each with its interval and a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from llmflame.analysis.compare.interval import Interval, Verdict, ratio_interval, verdict_of
from llmflame.analysis.compare.repetitions import (
    first_token_ns,
    median_steps_ns,
    phase_walls_ns,
    request_walls_ns,
)
from llmflame.store.profile import Profile


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of both runs; `a` and `b` are medians over the repetitions, None where it isn't known."""

    name: str
    label: str
    unit: str
    """`ns`, or `tokens/s`, of which more is better."""
    a: float | None
    b: float | None
    interval: Interval | None
    """Of the ratio b / a; None where the repetitions are too few."""
    verdict: Verdict
    repetitions: tuple[int, int]

    @property
    def ratio(self) -> float | None:
        """b / a."""
        return self.b / self.a if self.a and self.b is not None else None


TIMES: tuple[tuple[str, str, Callable[[Profile], list[float]]], ...] = (
    ("ttft", "TTFT", first_token_ns),
    ("tpot", "TPOT", median_steps_ns),
    ("e2e", "E2E", request_walls_ns),
    ("load", "Load", lambda profile: phase_walls_ns(profile, "load")),
    ("import", "Import", lambda profile: phase_walls_ns(profile, "import")),
)
"""TPOT is the median over the repetitions of each one's median decode step."""


def figures(before: Profile, after: Profile) -> list[Figure]:
    """Those that at least one of the runs has."""
    found = [figure(name, label, "ns", of(before), of(after)) for name, label, of in TIMES]
    rate = figure("tokens_per_s", "Throughput", "tokens/s", _rates(before), _rates(after))
    found.insert(3, rate)
    return [one for one in found if one.a is not None or one.b is not None]


def figure(name: str, label: str, unit: str, before: Sequence[float], after: Sequence[float]) -> Figure:
    """From the samples of both runs."""
    interval = ratio_interval(before, after) if before and after else None
    return Figure(
        name=name,
        label=label,
        unit=unit,
        a=median(before) if before else None,
        b=median(after) if after else None,
        interval=interval,
        verdict=verdict_of(interval, more_is_better=unit == "tokens/s"),
        repetitions=(len(before), len(after)),
    )


def _rates(profile: Profile) -> list[float]:
    """New tokens of the whole batch over each request's time."""
    tokens, batch = profile.subject.get("new_tokens"), profile.subject.get("batch_size")
    if not tokens or not batch:
        return []
    return [tokens * batch / (wall / 1e9) for wall in request_walls_ns(profile) if wall > 0]
