"""The phases of a run and what they waited for, from the clean pass' spans alone."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low

from llmflame.store.profile import Profile
from llmflame.store.rows import IMPORTED, SpanRow

ORDER = (
    "startup",
    "import",
    "load",
    "warmup",
    "tokenize",
    "prepare",
    "prefill",
    "decode",
    "detokenize",
    IMPORTED,
)
"""One cold start and one warm request, in the order in which a person lives through them. What was
imported has no others."""
GENERATION = ("prefill", "decode")
COLD_START = ("startup", "import", "load")
TOKENISER_PHASES = ("tokenize", "detokenize")
REQUEST_PHASES = ("tokenize", "prepare", "prefill", "decode", "detokenize")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a phase's wall time went into. The parts add up to the wall; None where the system can't tell."""

    on_cpu_ns: int | None
    run_queue_ns: int | None
    """Ready to run, but other work had the CPU."""
    disk_ns: int | None
    """Asleep on storage, by samples."""
    other_ns: int | None
    """Asleep on anything else: locks, worker threads, timers, a device."""


def representative_repetition(profile: Profile) -> int | None:
    """The clean request whose time is the median (the lower one of two): the one that trees are scaled to."""
    walls = {
        span.repetition: span.wall_ns
        for span in profile.spans
        if span.pass_name == "clean" and span.name == "request" and span.repetition is not None
    }
    if not walls:
        return None
    middle = median_low(walls.values())
    return next(repetition for repetition, wall in walls.items() if wall == middle)


def phase_spans(profile: Profile) -> list[SpanRow]:
    """The spans of `ORDER` that were recorded, those of a request from its representative repetition."""
    repetition = representative_repetition(profile)
    found: dict[str, SpanRow] = {}
    for span in profile.spans:
        if (span.pass_name != "clean" and span.name != IMPORTED) or span.name not in ORDER:
            continue
        top = span.name not in REQUEST_PHASES and span.parent is None
        if top or (span.name in REQUEST_PHASES and span.repetition == repetition):
            found.setdefault(span.name, span)
    return [found[name] for name in ORDER if name in found]


def request_span(profile: Profile) -> SpanRow | None:
    """The representative clean request."""
    repetition = representative_repetition(profile)
    for span in profile.spans:
        if span.pass_name == "clean" and span.name == "request" and span.repetition == repetition:
            return span
    return None


def gap_ns(profile: Profile) -> int:
    """Time of the request between its phases, in which the recorder read peaks: named, not hidden."""
    request = request_span(profile)
    if request is None:
        return 0
    inside = sum(span.wall_ns for span in phase_spans(profile) if span.name in REQUEST_PHASES)
    return max(request.wall_ns - inside, 0)


def run_wall_ns(profile: Profile) -> int:
    """One cold start and one warm request: what every view's total is."""
    return sum(span.wall_ns for span in phase_spans(profile)) + gap_ns(profile)


def parts_of(profile: Profile, span: SpanRow) -> list[SpanRow]:
    """The marked parts of a phase."""
    return [
        other
        for other in profile.spans
        if other.pass_name == span.pass_name and other.parent == span.id and other.name != "step"
    ]


def waiting(span: SpanRow) -> Waiting:
    """Split a span's wall time by what its main thread did."""
    if span.thread_cpu_ns is None:
        return Waiting(None, span.run_queue_ns, span.disk_wait_ns, None)
    on_cpu = min(span.thread_cpu_ns, span.wall_ns)
    rest = span.wall_ns - on_cpu
    run_queue = min(span.run_queue_ns, rest) if span.run_queue_ns is not None else None
    rest -= run_queue or 0
    disk = min(span.disk_wait_ns, rest) if span.disk_wait_ns is not None else None
    return Waiting(on_cpu, run_queue, disk, rest - (disk or 0))


def steps(profile: Profile, *, pass_name: str = "clean", repetition: int | None = None) -> list[SpanRow]:
    """Step spans of a pass in order; of one repetition, or of all."""
    return sorted(
        (
            span
            for span in profile.spans
            if span.pass_name == pass_name
            and span.name == "step"
            and (repetition is None or span.repetition == repetition)
        ),
        key=lambda span: (span.repetition or 0, span.step or 0),
    )


def decode_steps(profile: Profile, *, repetition: int | None = None) -> list[SpanRow]:
    """The clean pass' decode steps: those whose parent span is `decode`."""
    parents = {span.id for span in profile.spans if span.pass_name == "clean" and span.name == "decode"}
    return [span for span in steps(profile, repetition=repetition) if span.parent in parents]
