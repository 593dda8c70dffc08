"""Weights that are wider than the checkpoint's."""

from __future__ import annotations

from llmflame.analysis.ceiling import Rates, ceilings
from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.experiments import tested_by
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.op_class import op_class
from llmflame.analysis.roofline import floor_ns
from llmflame.store import metrics
from llmflame.units import human_bytes

HALF = ("bfloat16", "float16")
NARROWER = 0.5
"""Half as many bytes."""


def wide_weights(evidence: Evidence) -> Ruling | None:
    """float32 in memory, two bytes an element in the checkpoint."""
    subject = evidence.profile.subject
    narrow = str(subject.get("checkpoint_dtype"))
    if subject.get("dtype") != "float32" or narrow not in HALF:
        return None
    if _slower_on_cpu(evidence, narrow):
        return None
    rate = _compute_rate(evidence, narrow)

    def computing(place: Place) -> bool:
        return place.module is not None and (place.frame.kind in ("kernel", "copy", "op"))

    def factor(place: Place) -> float:
        products = place.operator is not None and op_class(place.operator) == "matmul"
        return rate if products else NARROWER

    if evidence.on_device:
        change = evidence.change(computing, device=factor)
    else:
        change = evidence.change(_product, host=rate)
    size = subject.get("weights_in_memory_bytes")
    finding = Finding(
        "wide-weights",
        f"The weights are float32, the checkpoint is {narrow}",
        "request",
        evidence.gain_ns(change),
        (
            f"{human_bytes(float(size))} of weights in memory, half of it would do"
            if isinstance(size, int | float)
            else "twice the bytes are read for each token",
        ),
        f"Load with dtype={narrow!r} (or dtype='auto')",
        tested_by("wide-weights"),
        evidence.heaviest(_product, metrics.WALL.name),
    )
    return Ruling(finding, change)


def _product(place: Place) -> bool:
    return place.operator is not None and op_class(place.operator) == "matmul"


def _compute_rate(evidence: Evidence, narrow: str) -> float:
    """What narrow matrix products would still need of the time that they take now: their floor, where it is
    known. Kernels of float32 are often further from theirs, so half the time would bound too little."""
    bandwidth, faster = evidence.limits.best.bytes_per_s, _matmul_rate(evidence, narrow)
    metric = metrics.DEVICE.name if evidence.on_device else metrics.WALL.name
    took = evidence.sum(_product, metric)
    flops = evidence.sum(_product, metrics.FLOPS.name)
    moved = evidence.sum(_product, metrics.READ.name) + evidence.sum(_product, metrics.WRITTEN.name)
    if bandwidth is None or faster is None or not moved or not took:
        return NARROWER
    return min(floor_ns(flops, moved * NARROWER, Rates(bandwidth, faster)) / took, 1.0)


def _slower_on_cpu(evidence: Evidence, narrow: str) -> bool:
    """Was this CPU measured to multiply narrow matrices more slowly? Many have no instructions for them."""
    if evidence.on_device:
        return False
    here, there = _matmul_rate(evidence, "float32"), _matmul_rate(evidence, narrow)
    return here is not None and there is not None and there < here


def _matmul_rate(evidence: Evidence, dtype: str) -> float | None:
    return ceilings(evidence.profile, dtype).measured.flop_per_s
