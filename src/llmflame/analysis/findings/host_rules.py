"""What happens around the model."""

from __future__ import annotations

from itertools import pairwise

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.phases import TOKENISER_PHASES
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

AS_THEY_CAME = "in-process"
"""The mode of a recording beside a live object, whose requests may be the program's own."""
LONG_IMPORT_NS = 5e9
"""Importing torch and transformers from a warm disk takes 3 to 4 s on two slow cores."""


def own_code_between_steps(evidence: Evidence) -> Ruling | None:
    """The program's own functions run between the model's calls."""

    def foreign(place: Place) -> bool:
        return place.is_foreign and place.frame.kind not in ("wait", "runtime")

    metric = metrics.HOST.name if evidence.on_device else metrics.WALL.name
    took = evidence.sum(foreign, metric)
    if not took:
        return None
    change = evidence.change(foreign, host=0.0)
    finding = Finding(
        "own-code-between-steps",
        "The program's own code runs between the model's steps",
        "request",
        evidence.gain_ns(change),
        (f"{human_time_ns(took)} of the host's time in a request is outside of the model and its libraries",),
        "Move it out of the loop, or run it while the device works on the next step",
        None,
        evidence.heaviest(foreign, metric),
    )
    return Ruling(finding, change)


def slow_tokeniser(evidence: Evidence) -> Ruling | None:
    """Text to tokens and back takes a part of the request that shows."""
    took = evidence.wall_ns(*TOKENISER_PHASES)
    whole = evidence.request_ns
    if not whole:
        return None
    finding = Finding(
        "slow-tokeniser",
        "The tokeniser takes a large part of the request",
        "request",
        took,
        (f"tokenize and detokenize take {human_time_ns(took)}, {percent(took / whole)} of a request",),
        "Use the fast (Rust) tokeniser, and tokenise requests that wait beforehand",
        None,
        evidence.heaviest(lambda _place: True, metrics.WALL.name, names=TOKENISER_PHASES),
    )
    return Ruling(finding)


def requests_apart(evidence: Evidence) -> Ruling | None:
    """Recorded as they came, requests leave time between them."""
    profile = evidence.profile
    repeated = any(one.name == "anatomy" for one in profile.passes)
    if profile.run.mode != AS_THEY_CAME or repeated:
        return None  # repetitions of ours: what lies between them is ours too
    spans = sorted((span for span in profile.spans if span.name == "request"), key=lambda span: span.start_ns)
    gaps = [max(after.start_ns - before.start_ns - before.wall_ns, 0) for before, after in pairwise(spans)]
    busy = sum(span.wall_ns for span in spans)
    if not gaps or not busy:
        return None
    share = sum(gaps) / (sum(gaps) + busy)
    finding = Finding(
        "requests-apart",
        "Nothing runs between requests",
        "request",
        share * evidence.request_ns,
        (f"{human_time_ns(sum(gaps))} between {len(spans)} requests, {percent(share)} of the time",),
        "Have the next request ready, or batch requests",
        None,
    )
    return Ruling(finding)


def imports(evidence: Evidence) -> Ruling | None:
    """A cold start that is mostly Python reading modules."""
    took, whole = evidence.wall_ns("import"), evidence.cold_start_ns
    if took < LONG_IMPORT_NS or took < whole / 2:
        return None

    def importing(place: Place) -> bool:
        return place.frame.kind != "phase"

    finding = Finding(
        "slow-imports",
        "The cold start is dominated by imports",
        "cold start",
        took,
        (f"imports take {human_time_ns(took)}, {percent(took / whole)} of the cold start",),
        "Keep one process for several requests; import less; compile byte code beforehand "
        "(python -m compileall) where the disk is read-only",
        None,
        evidence.heaviest(importing, metrics.WALL.name, names=("import",)),
    )
    return Ruling(finding)
