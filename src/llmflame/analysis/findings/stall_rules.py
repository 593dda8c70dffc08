"""Kernels that wait though the roofline says they need not, and those of which only the samples speak."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.stalls.breakdown import KernelStalls, stall_breakdown
from llmflame.analysis.stalls.reasons import GROUP_WORDS, REASONS
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

HOT_SHARE = 0.05
"""Of the sampled kernels' device time: what has less is not worth a sentence."""
MORE_IN_FLIGHT = (
    "Have more loads in flight: a larger batch, split-K or smaller tiles where blocks are few, asynchronous "
    "copies ahead of their use; fewer bytes alone help little while the memory is not busy"
)
NAMED = 3
"""Kernels that the evidence names, those with the most device time first."""


def stalls_against_roofline(evidence: Evidence) -> Ruling | None:
    """Hot kernels that are near no ceiling: their warps wait, or issue, for another reason than the bytes and
    operations that they are for."""
    found = [
        one
        for one in _hot(evidence)
        if one.bound in ("latency", "issue") and one.position.side is not None and one.dominant is not None
    ]
    if not found:
        return None
    finding = Finding(
        "stalls-against-roofline",
        "Hot kernels are near no ceiling of the device",
        "request",
        # At their floor they would take what the ceiling that they would meet first allows.
        _gain_ns(evidence, found, lambda one: min(one.position.used or 0.0, 1.0)),
        tuple(_against(one) for one in found[:NAMED]),
        _helps(found[0]),
        None,
        _frames(evidence, found),
    )
    return Ruling(finding)


def dominant_stall(evidence: Evidence) -> Ruling | None:
    """Hot kernels of which no ceiling tells how fast they could be, and that lose time to one reason."""
    found = [
        one
        for one in _hot(evidence)
        if one.bound is None and one.dominant is not None and one.dominant.group not in ("issuing", "other")
    ]
    if not found:
        return None
    finding = Finding(
        "dominant-stall",
        "Hot kernels wait for one thing most of the time",
        "request",
        _gain_ns(evidence, found, lambda one: 1 - (one.dominant.share if one.dominant else 0.0)),
        tuple(_waits(one) for one in found[:NAMED]),
        _helps(found[0]),
        None,
        _frames(evidence, found),
    )
    return Ruling(finding)


def _hot(evidence: Evidence) -> list[KernelStalls]:
    """Sampled kernels with much of the device's time, most first."""
    if not evidence.profile.stalls or not evidence.on_device:
        return []
    found = stall_breakdown(evidence.profile, evidence.run.tree)
    whole = sum(one.device_ns for one in found)
    return [one for one in found if one.device_ns and one.device_ns >= HOT_SHARE * whole]


def _gain_ns(
    evidence: Evidence, found: Sequence[KernelStalls], factor_of: Callable[[KernelStalls], float]
) -> float:
    """How much shorter a request would be if these kernels took so many times as long, phase by phase."""
    gain = 0.0
    for phase in dict.fromkeys(one.phase for one in found):
        factors = {one.name: factor_of(one) for one in found if one.phase == phase}
        change = evidence.change(_named(factors), device=lambda place, of=factors: of[place.frame.name])  # type: ignore[misc]
        gain += evidence.gain_ns(change, names=(phase,))
    return gain


def _named(names: object) -> Callable[[Place], bool]:
    return lambda place: place.frame.kind == "kernel" and place.frame.name in names  # type: ignore[operator]


def _frames(evidence: Evidence, found: Sequence[KernelStalls]) -> tuple[str, ...]:
    phases = tuple(dict.fromkeys(one.phase for one in found))
    return evidence.heaviest(_named({one.name for one in found}), metrics.DEVICE.name, names=phases)


def _against(one: KernelStalls) -> str:
    position = one.position
    ceiling = "memory's bandwidth" if position.side == "memory" else "rate of matrix products"
    return f"{_waits(one)}; {percent(position.used or 0.0)} of the {ceiling}, {one.bound} bound"


def _waits(one: KernelStalls) -> str:
    """Short enough not to be cut: the kernel's name is the longest part."""
    words = f"{one.phase} › {short_kernel_name(one.name)}: {human_time_ns(one.device_ns)}"
    dominant = one.dominant
    if dominant is None:
        return words
    if dominant.group == "issuing":
        return f"{words}, issues in {percent(dominant.share)} of its samples"
    return f"{words}, {percent(dominant.share)} lost to {dominant.reason} ({dominant.group})"


def _helps(one: KernelStalls) -> str:
    """What usually helps, of the kernel with the most time."""
    dominant = one.dominant
    if dominant is not None and dominant.group == "device memory" and one.bound == "latency":
        return MORE_IN_FLIGHT
    reason = REASONS.get(dominant.reason) if dominant is not None else None
    if reason is not None and reason.group != "issuing":
        return reason.helps.rstrip(".")
    words = GROUP_WORDS[dominant.group if dominant is not None else "other"].helps
    return words[0].upper() + words[1:]
