"""One number a trial, which is what an experiment compares: a process is a sample, a request is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from llmflame.store.lab_rows import LabRequestRow, TrialRow

CLOCK_FELL = 0.9
"""Of the median clock of a row's trials: what ran below it is marked, and not compared. Readings of a steady
clock differ by a few per cent; an H200 that throttles falls by a third."""

Metric = Literal["wall", "ttft", "load"]
METRIC_OF_PHASES: Mapping[str, Metric] = {"load": "load", "prefill": "ttft"}
"""What a row is judged by whose variants work on that phase alone; all others by the whole request."""
METRIC_LABELS: Mapping[Metric, str] = {"wall": "request", "ttft": "TTFT", "load": "load"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A timing trial that was done. Times are ns, medians over its requests."""

    round: int
    wall_ns: float
    ttft_ns: float
    tpot_ns: float | None
    """(last token - first) / tokens after the first; None of requests of one token."""
    trial: TrialRow
    clock_fell: bool

    def of(self, metric: Metric) -> float | None:
        """The time that a row is judged by; None where it wasn't measured."""
        if metric == "load":
            return None if self.trial.load_ns is None else float(self.trial.load_ns)
        return self.wall_ns if metric == "wall" else self.ttft_ns


def samples(trials: Sequence[TrialRow], requests: Sequence[LabRequestRow]) -> list[Sample]:
    """Of one row: its timing trials by round, each with the medians of its requests."""
    timed = [trial for trial in trials if trial.purpose == "timing" and trial.outcome == "done"]
    clocks = [trial.clock_mhz for trial in timed if trial.clock_mhz is not None]
    usual = median(clocks) if clocks else None
    found = []
    for trial in sorted(timed, key=lambda one: one.round):
        mine = [one for one in requests if one.round == trial.round]
        if not mine:
            continue
        steps = [one.decode_ns / one.steps for one in mine if one.steps]
        found.append(
            Sample(
                trial.round,
                float(median(one.wall_ns for one in mine)),
                float(median(one.ttft_ns for one in mine)),
                median(steps) if steps else None,
                trial,
                _fell(trial, usual),
            )
        )
    return found


def _fell(trial: TrialRow, usual: float | None) -> bool:
    return bool(trial.throttled) or (
        usual is not None and trial.clock_mhz is not None and trial.clock_mhz < CLOCK_FELL * usual
    )


def paired(
    base: Sequence[Sample], other: Sequence[Sample], metric: Metric
) -> tuple[list[float], list[float]]:
    """Times of the rounds in which both ran at their usual clock; of all rounds where too few are left."""
    theirs = {sample.round: sample for sample in base}
    both = [(theirs[sample.round], sample) for sample in other if sample.round in theirs]
    steady = [pair for pair in both if not any(sample.clock_fell for sample in pair)]
    chosen = steady if 2 * len(steady) > len(both) else both
    times = [(a.of(metric), b.of(metric)) for a, b in chosen]
    known = [(a, b) for a, b in times if a and b]
    return [a for a, _ in known], [b for _, b in known]
