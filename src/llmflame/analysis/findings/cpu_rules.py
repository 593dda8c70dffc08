"""A CPU that does its work the slow way."""

from __future__ import annotations

from collections import defaultdict

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.experiments import tested_by
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.op_class import op_class
from llmflame.analysis.phases import GENERATION
from llmflame.analysis.roofline import floor_ns
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

SLOW_FACTOR = 4.0
"""Matrix products of a well-chosen kernel stay within two to three times their floor, small ones included."""
CROWDED_SHARE = 0.1
"""Of a request in the run queue: a thread that is alone on its CPU is there for less than a hundredth."""


def slow_kernels(evidence: Evidence) -> Ruling | None:
    """Matrix products far from what this CPU reached when it was measured."""
    limits = evidence.limits.best
    if evidence.on_device or limits.bytes_per_s is None or limits.flop_per_s is None:
        return None
    measured = evidence.facts.get(("ceilings", "measured threads"))
    if measured is not None and measured.value != evidence.profile.subject.get("torch_threads"):
        return None  # fewer threads reach less, and that isn't the kernels' fault
    excess: dict[str, float] = defaultdict(float)
    took: dict[str, float] = defaultdict(float)
    floors: dict[str, float] = defaultdict(float)
    for phase in evidence.phases(GENERATION):
        read, written, flops = (
            phase.columns.get(metric.name, {}) for metric in (metrics.READ, metrics.WRITTEN, metrics.FLOPS)
        )
        for node, wall in phase.columns.get(metrics.WALL.name, {}).items():
            place = evidence.places[node]
            if place.frame.kind != "op" or op_class(place.frame.name) != "matmul":
                continue
            moved = read.get(node, 0.0) + written.get(node, 0.0)
            floor = floor_ns(flops.get(node, 0.0), moved, limits)
            if floor and wall > SLOW_FACTOR * floor:
                words = f"{phase.span.name} › {place.module or 'outside of the model'} › {place.frame.name}"
                excess[words] += wall - floor
                took[words] += wall
                floors[words] += floor
    if not excess:
        return None
    worst = sorted(excess, key=lambda words: -excess[words])
    finding = Finding(
        "slow-cpu-kernels",
        "Matrix products run on a slow code path of this CPU",
        "request",
        sum(excess.values()),
        (
            f"{len(excess)} of them take more than {SLOW_FACTOR:.0f} times their floor",
            f"the worst: {worst[0]} takes {human_time_ns(took[worst[0]])}, "
            f"its floor is {human_time_ns(floors[worst[0]])}",
        ),
        "Look which kernel the library picked (ONEDNN_VERBOSE=1, MKL_VERBOSE=1): another dtype, a padded "
        "shape, or ATEN_CPU_CAPABILITY and DNNL_MAX_CPU_ISA that were not set may reach the fast one",
        tested_by("slow-cpu-kernels"),
        tuple(worst[:3]),
    )
    return Ruling(finding)


def oversubscription(evidence: Evidence) -> Ruling | None:
    """More threads than CPUs, or other work on them."""
    spans = [evidence.spans[name] for name in GENERATION if name in evidence.spans]
    queued = sum(span.run_queue_ns or 0 for span in spans)
    whole = sum(span.wall_ns for span in spans)
    threads = evidence.profile.subject.get("torch_threads")
    usable = _usable_cpus(evidence)
    crowded = isinstance(threads, int) and usable is not None and threads > usable
    if not whole or not (crowded or queued > CROWDED_SHARE * whole):
        return None
    words = [f"the main thread stood in the run queue for {human_time_ns(queued)}, {percent(queued / whole)}"]
    if crowded:
        words.insert(0, f"torch uses {threads} threads on {usable:g} usable CPUs")
    finding = Finding(
        "oversubscription",
        "Threads wait for a CPU",
        "request",
        # A worker that waits holds the main thread up as long again, unseen: the queue is the least.
        float(queued),
        tuple(words),
        "Set OMP_NUM_THREADS to the CPUs that this process may use, and keep other work off them",
        tested_by("oversubscription"),
    )
    return Ruling(finding)


def _usable_cpus(evidence: Evidence) -> float | None:
    for place in (("limits", "CPU limit"), ("cpu", "CPUs this process may use"), ("cpu", "logical CPUs")):
        fact = evidence.facts.get(place)
        if fact is not None and isinstance(fact.value, int | float) and fact.value > 0:
            return float(fact.value)
    return None
