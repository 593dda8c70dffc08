"""Bytes that cross the bus while tokens are made."""

from __future__ import annotations

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.experiments import tested_by
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.store import metrics
from llmflame.units import human_bytes, human_time_ns

OFFLOADING = "accelerate/hooks.py"
FETCHING = ("pre_forward", "post_forward")
"""What a hook does around a module's forward, which itself runs below another function of that file."""
LARGE_COPY_BYTES = 1 << 20
"""Token ids and single numbers are copied in every step; what matters is larger."""


def _to_device(place: Place) -> bool:
    return place.frame.kind == "copy" and "HtoD" in place.frame.name


def _fetching(place: Place) -> bool:
    return any(place.within(OFFLOADING, name) for name in FETCHING)


def offloaded_layers(evidence: Evidence) -> Ruling | None:
    """Weights that are brought to the device for each step."""

    size = evidence.sum(lambda place: _fetching(place) and _to_device(place), metrics.COPIED.name)
    if size < LARGE_COPY_BYTES:
        return None
    change = evidence.change(_fetching, host=0.0, device=0.0, waits=False)
    took = evidence.sum(lambda place: _fetching(place) and _to_device(place), metrics.DEVICE.name)
    finding = Finding(
        "offloaded-layers",
        "Layers that don't stay on the device are copied to it in every step",
        "request",
        evidence.gain_ns(change),
        (f"{human_bytes(size)} to the device in a request, {human_time_ns(took)} of copies",),
        "Keep all layers on the device: a lower precision of the weights, a smaller batch or context, or a "
        "second device",
        tested_by("offloaded-layers"),
        evidence.heaviest(lambda place: _fetching(place) and _to_device(place), metrics.DEVICE.name),
    )
    return Ruling(finding, change)


def pageable_copies(evidence: Evidence) -> Ruling | None:
    """Copies from ordinary memory: staged by the driver, at a fraction of the bus, while the host waits."""

    def pageable(place: Place) -> bool:
        return place.frame.kind == "copy" and "Pageable" in place.frame.name and not _fetching(place)

    size = evidence.sum(pageable, metrics.COPIED.name)
    took = evidence.sum(pageable, metrics.DEVICE.name)
    if size < LARGE_COPY_BYTES or not took:
        return None
    parents = {
        evidence.profile.nodes[number].parent for number, place in evidence.places.items() if pageable(place)
    }
    callers = {id(evidence.places[number]) for number in parents if number is not None}

    def copying(place: Place) -> bool:
        return pageable(place) or id(place) in callers

    change = evidence.change(copying, host=0.0, device=0.0, waits=False)
    pinned = evidence.facts.get(("ceilings", "host to device pinned"))
    reach = f"; pinned memory reaches {pinned.value / 1e9:.1f} GB/s here" if _number(pinned) else ""  # type: ignore[operator, union-attr]
    finding = Finding(
        "pageable-copies",
        "Large copies from pageable memory",
        "request",
        evidence.gain_ns(change),
        (
            f"{human_bytes(size)} in {human_time_ns(took)}, {size / took:.1f} GB/s{reach}",
            "the host is held in the call meanwhile",
        ),
        "Leave the data on the device; else copy from pinned memory (pin_memory()) with non_blocking=True",
        tested_by("pageable-copies"),
        evidence.heaviest(pageable, metrics.DEVICE.name),
    )
    return Ruling(finding, change)


def _number(fact: object) -> bool:
    return isinstance(getattr(fact, "value", None), int | float)
