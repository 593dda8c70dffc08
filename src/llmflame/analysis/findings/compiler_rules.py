"""What torch.compile did, where it was used."""

from __future__ import annotations

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.experiments import tested_by
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.store import metrics
from llmflame.units import human_time_ns

PROBE = "compiler"
BREAK = "graph break: "
GUARDS = ("TorchDynamo Cache Lookup", "Pregraph bytecode", "AOTDispatcher Runtime Wrapper Prologue")


def graph_breaks(evidence: Evidence) -> Ruling | None:
    """Compiled regions that end where the compiler could not follow."""
    breaks = {
        report.name.removeprefix(BREAK): int(report.value or 0)
        for report in evidence.profile.probe_reports
        if report.probe == PROBE and report.name.startswith(BREAK)
    }
    if not breaks:
        return None

    def between(place: Place) -> bool:
        return place.operator is not None and place.operator.startswith(GUARDS)

    change = evidence.change(between, host=0.0)
    reasons = sorted(breaks, key=lambda reason: -breaks[reason])
    finding = Finding(
        "graph-breaks",
        "torch.compile broke the model into several graphs",
        "request",
        evidence.gain_ns(change),
        (
            f"{sum(breaks.values())} graph breaks; the guards and wrappers of the pieces take "
            f"{human_time_ns(evidence.sum(between, _host(evidence)))} of a request",
            *(f"{breaks[reason]} x {reason}" for reason in reasons[:3]),
        ),
        "Compile with fullgraph=True to see where, and take that out of forward()",
        tested_by("graph-breaks"),
        evidence.heaviest(between, _host(evidence)),
    )
    return Ruling(finding, change)


def recompiles(evidence: Evidence) -> Ruling | None:
    """Graphs compiled in requests that were timed after a warm-up of the same length."""
    graphs = sum(
        report.value or 0
        for report in evidence.profile.probe_reports
        if report.probe == PROBE and report.name == "graphs compiled in timed requests"
    )
    if not graphs:
        return None
    clean = [span for span in evidence.profile.spans if span.pass_name == "clean"]
    walls = sorted(span.wall_ns for span in clean if span.name == "step" and span.step)
    middle = walls[len(walls) // 2] if walls else 0
    repetitions = len({span.repetition for span in clean if span.name == "request"}) or 1
    excess = sum(wall - middle for wall in walls if wall > 2 * middle) / repetitions
    finding = Finding(
        "recompiles",
        "torch.compile compiles again in warm requests",
        "request",
        excess,
        (
            f"{graphs:,.0f} graphs compiled after the warm-up",
            f"steps longer than twice the median took {human_time_ns(excess)} of a request more than it",
        ),
        "Fix the shapes (a static cache of one size), or mark what varies (torch._dynamo.mark_dynamic)",
        tested_by("recompiles"),
    )
    return Ruling(finding)


def _host(evidence: Evidence) -> str:
    return metrics.HOST.name if evidence.on_device else metrics.WALL.name
