"""The device waits for Python to launch the next kernel."""

from __future__ import annotations

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.experiments import tested_by
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.idle import idle
from llmflame.analysis.phases import GENERATION
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

LEAST_IDLE = 0.2
"""Of prefill and decode: below this a device is not launch-bound."""
AS_ONE = (
    "Launch a step as one: torch.compile(mode='reduce-overhead') with a static cache, or a CUDA graph; "
    "or a larger batch, which costs the host nothing"
)
AROUND_GRAPHS = (
    "Part of a step is compiled or a graph already: take what runs around that (the frames below) out of the "
    "loop or into the graph, or make the batch larger"
)


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
    gain = evidence.gain_ns(change, beyond_claimed=True)
    if gain < LEAST_IDLE * account.wall_ns:
        return None
    compiled = evidence.sum(_is_compiled, metrics.CALLS.name, ("decode",)) > 0
    kernels = evidence.sum(lambda place: place.frame.kind == "kernel", metrics.CALLS.name, ("decode",))
    steps = max(_decode_steps(evidence), 1)
    finding = Finding(
        "launch-bound",
        "The GPU waits for Python to launch kernels",
        "request",
        gain,
        (
            f"the GPU is idle for {human_time_ns(waited)} of {human_time_ns(account.wall_ns)} "
            f"({percent(waited / account.wall_ns)}) while the host runs Python and dispatches operators",
            f"{kernels / steps:,.0f} kernels a decode step",
        ),
        AROUND_GRAPHS if compiled else AS_ONE,
        None if compiled else tested_by("launch-bound"),
        evidence.heaviest(host, metrics.IDLE.name),
    )
    return Ruling(finding, change)


def _decode_steps(evidence: Evidence) -> float:
    return sum(window.count for phase in evidence.phases(("decode",)) for window in phase.windows)


def _is_compiled(place: Place) -> bool:
    name = place.frame.name
    return name.endswith("[graph]") or name.startswith(("Torch-Compiled Region", "## Call CompiledFxGraph"))
