"""One value a repetition of the clean pass: the samples that intervals are made from."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from llmflame.analysis.phases import REQUEST_PHASES, decode_steps, phase_spans
from llmflame.store.profile import Profile


def request_walls_ns(profile: Profile) -> list[float]:
    """The wall time of each clean request."""
    return [float(span.wall_ns) for span in profile.spans if _is_clean(span.pass_name, span.name, "request")]


def first_token_ns(profile: Profile) -> list[float]:
    """From each call to the end of its prefill."""
    starts = {
        span.repetition: span.start_ns
        for span in profile.spans
        if _is_clean(span.pass_name, span.name, "request")
    }
    return [
        float(span.start_ns + span.wall_ns - starts[span.repetition])
        for span in profile.spans
        if _is_clean(span.pass_name, span.name, "prefill") and span.repetition in starts
    ]


def median_steps_ns(profile: Profile) -> list[float]:
    """The median decode step of each request."""
    steps: dict[int | None, list[int]] = defaultdict(list)
    for step in decode_steps(profile):
        steps[step.repetition].append(step.wall_ns)
    return [float(median(walls)) for walls in steps.values()]


def phase_walls_ns(profile: Profile, phase: str) -> list[float]:
    """A phase's wall time in each repetition; of what happens once in a process, that one value."""
    if phase in REQUEST_PHASES:
        return [
            float(span.wall_ns)
            for span in profile.spans
            if _is_clean(span.pass_name, span.name, phase) and span.repetition is not None
        ]
    return [float(span.wall_ns) for span in phase_spans(profile) if span.name == phase]


def _is_clean(pass_name: str, name: str, wanted: str) -> bool:
    return pass_name == "clean" and name == wanted
