"""The device waits for Python to launch the next kernel."""

from __future__ import annotations

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.idle import idle
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

LEAST_IDLE = 0.2
"""Of prefill and decode: below this a device is not launch-bound."""
GENERATION = ("prefill", "decode")


def launch_bound(evidence: Evidence) -> Ruling | None:
    """Most of a step the device has nothing to do, because the host is not fast enough at asking."""
    account = idle(evidence.run.tree, GENERATION)
    if account is None or not account.wall_ns:
        return None
    waited = account.by_cause["launch-bound Python"]
    if waited < LEAST_IDLE * account.wall_ns:
        return None

    def host(place: Place) -> bool:
        return place.frame.kind != "wait"

    change = evidence.change(host, host=0.0)
    kernels = evidence.sum(lambda place: place.frame.kind == "kernel", metrics.CALLS.name, ("decode",))
    steps = max(_decode_steps(evidence), 1)
    finding = Finding(
        "launch-bound",
        "The GPU waits for Python to launch kernels",
        "request",
        evidence.gain_ns(change, beyond_claimed=True),
        (
            f"the GPU is idle for {human_time_ns(waited)} of {human_time_ns(account.wall_ns)} "
            f"({percent(waited / account.wall_ns)}) while the host runs Python and dispatches operators",
            f"{kernels / steps:,.0f} kernels a decode step",
        ),
        "Launch a step as one: torch.compile(mode='reduce-overhead') with a static cache, or a CUDA graph; "
        "or a larger batch, which costs the host nothing",
        "compile-reduce-overhead",
        evidence.heaviest(host, metrics.IDLE.name),
    )
    return Ruling(finding, change)


def _decode_steps(evidence: Evidence) -> float:
    return sum(window.count for phase in evidence.phases(("decode",)) for window in phase.windows)
