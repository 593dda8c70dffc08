"""Latency of the clean pass, in the field's words. See docs/metrics.md for the definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from llmflame.analysis.phases import decode_steps, phase_spans
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the edges of a sample."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    count: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; medians over the repetitions. None for what the run did not get to."""

    ttft_ms: float | None
    """From the call until the first token is on the host: tokenize + prepare + prefill."""
    tpot: Spread | None
    """Over all decode steps of all repetitions: each makes one token a sequence."""
    e2e_ms: float | None
    tokens_per_s: float | None
    """New tokens of the whole batch over E2E."""


def latency(profile: Profile) -> Latency:
    """What a person waited for."""
    e2e = [s.wall_ns / 1e6 for s in _clean(profile, "request")]
    ttft = []
    for request in _clean(profile, "request"):
        prefill = [s for s in _clean(profile, "prefill") if s.repetition == request.repetition]
        if prefill:
            ttft.append((prefill[-1].start_ns + prefill[-1].wall_ns - request.start_ns) / 1e6)
    steps = [step.wall_ns / 1e6 for step in decode_steps(profile)]
    new_tokens, batch = profile.subject.get("new_tokens"), profile.subject.get("batch_size")
    rate = None
    if e2e and new_tokens and batch:
        rate = new_tokens * batch / (median(e2e) / 1e3)
    return Latency(
        ttft_ms=median(ttft) if ttft else None,
        tpot=spread(steps),
        e2e_ms=median(e2e) if e2e else None,
        tokens_per_s=rate,
    )


def spread(values: Sequence[float]) -> Spread | None:
    """Median, 10th and 90th percentile (nearest rank) of a sample; None of an empty one."""
    if not values:
        return None
    ranked = sorted(values)
    return Spread(median(ranked), _rank(ranked, 0.1), _rank(ranked, 0.9), len(ranked))


def _rank(ranked: Sequence[float], quantile: float) -> float:
    # Rounded first: 0.1 * 30 is a little more than 3 in binary.
    return ranked[max(ceil(round(quantile * len(ranked), 9)) - 1, 0)]


def phase_seconds(profile: Profile, name: str) -> float | None:
    """The wall time of one phase of the run."""
    for span in phase_spans(profile):
        if span.name == name:
            return span.wall_ns / 1e9
    return None


def _clean(profile: Profile, name: str) -> list[SpanRow]:
    return [span for span in profile.spans if span.pass_name == "clean" and span.name == name]
