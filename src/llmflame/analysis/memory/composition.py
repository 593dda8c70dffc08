"""What a phase's peak is made of. Parts add up to the measured peak; what no part explains is `other`.

A phase's peak is measured in the clean pass. Its parts are who held what when the phase began (a census in
the same process), plus what a traced window says was taken on top at its own peak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llmflame.analysis.memory.moments import Holders, Moment, Moments, moments
from llmflame.analysis.memory.series import EMPTY, Series, highest_together, series
from llmflame.analysis.phases import GENERATION, phase_spans
from llmflame.store import categories
from llmflame.store.profile import Profile
from llmflame.store.rows import Space, SpanRow

PROCESSES = "processes"
"""The mode of a recording whose process was started for it."""
WARMUP, DECODE = "warmup", "decode"
_LOADING = ("load", WARMUP)
_LIBRARIES = (categories.RUNTIME, categories.LIBRARIES)


@dataclass(frozen=True, slots=True)
class Composition:
    """The bytes of one phase's peak in one space, by category and owner."""

    phase: str
    space: Space
    peak_bytes: int
    """Measured: the high-water mark of the resident set, or of the device's memory in use."""
    holders: Mapping[tuple[str, str], float]
    """`other` among them: all add up to the peak."""
    others_bytes: int = 0
    """Of a device: what was in use before this process came, and is not in the peak of the process."""

    def of(self, category: str) -> float:
        """Bytes of a category."""
        return sum(size for (name, _), size in self.holders.items() if name == category)

    @property
    def residual_share(self) -> float:
        """What no holder explains, or what holders say too much, as a share of the peak."""
        return abs(self.of(categories.OTHER)) / self.peak_bytes if self.peak_bytes else 0.0

    @property
    def parts(self) -> list[tuple[str, float]]:
        """Categories that hold something, in their order."""
        return [(name, size) for name in categories.ORDER if (size := self.of(name))]


def compositions(profile: Profile) -> list[Composition]:
    """One for each phase and space of which enough was recorded."""
    known, gauges = moments(profile), series(profile, "clean")
    spans = phase_spans(profile)
    found = []
    for span in spans:
        base = known.before(span.name)
        if base is None:
            continue
        if span.peak_rss_bytes:
            like = _like(span, spans, "peak_rss_bytes")
            found.append(_host(span, like, base, known, gauges))
        like = _like(span, spans, "device_peak_bytes")
        # The load's census comes before the allocator's workspaces and the device's code.
        on_device = known.before(like) if span.name == WARMUP else base
        seen = on_device is not None and "device_used_bytes" in on_device.readings
        if span.device_peak_bytes is not None and on_device is not None and seen:
            found.append(_device(span, like, on_device, known, gauges, profile))
    return [one for one in found if one.peak_bytes > 0]


def _like(span: SpanRow, spans: Iterable[SpanRow], peak: str) -> str:
    """The phase whose peak this one's is made like: a warm-up's is that of the higher part of a request."""
    if span.name != WARMUP:
        return span.name
    parts = [one for one in spans if one.name in GENERATION]
    return max(parts, key=lambda one: getattr(one, peak) or 0).name if parts else DECODE


def run_peak(found: list[Composition], space: Space) -> Composition | None:
    """The phase with the highest peak; of equal ones, as what an allocator keeps makes them, the one in which
    most of it was in use."""
    here = [one for one in found if one.space == space]
    return max(here, key=lambda one: (one.peak_bytes, -one.of(categories.SLACK)), default=None)


def _on_top(holders: Holders, space: Space, phase: str, base: Moment, known: Moments) -> float:
    """Add what a traced window took on top at its peak; returns how much that was."""
    peak = known.peak(phase)
    if peak is None or phase not in GENERATION:
        return 0.0
    taken = 0.0
    before = known.before(phase)
    if before is not None and before is not base:
        # A warm-up began without a cache; at its peak it held one as long as a later request's.
        for key, held in before.held[space].items():
            if key[0] == categories.KV_CACHE:
                holders[key] = holders.get(key, 0.0) + held
                taken += held
    # First what was taken: what a growing cache gives back may be what it took itself.
    for (category, owner), size in sorted(peak.held[space].items(), key=lambda item: -item[1]):
        if size < 0:
            _give_back(holders, category, -size)
        else:
            holders[category, owner] = holders.get((category, owner), 0.0) + size
        taken += size
    return taken


def _give_back(holders: Holders, category: str, size: float) -> None:
    """Take away from whoever holds most of a category."""
    for key in sorted((k for k in holders if k[0] == category), key=lambda k: -holders[k]):
        part = min(holders[key], size)
        holders[key] -= part
        size -= part
    if size:
        holders[category, ""] = holders.get((category, ""), 0.0) - size


def _host(
    span: SpanRow, like: str, base: Moment, known: Moments, gauges: Mapping[str, Series]
) -> Composition:
    assert span.peak_rss_bytes is not None
    holders: Holders = defaultdict(float, base.held["host"])
    _pages(holders, span, base, gauges)
    taken = _on_top(holders, "host", like, base, known)
    slack = sum(size for (category, _), size in holders.items() if category == categories.SLACK)
    rest = span.peak_rss_bytes - (sum(holders.values()) - slack)
    # What was taken came from the free chunks or from new pages: which, the allocator does not say.
    kept = min(max(rest, slack - max(taken, 0.0), 0.0), slack)
    for key in [key for key in holders if key[0] == categories.SLACK]:
        holders[key] *= kept / slack if slack else 0.0
    return _settled(span, "host", span.peak_rss_bytes, holders)


def _pages(holders: Holders, span: SpanRow, base: Moment, gauges: Mapping[str, Series]) -> None:
    """The kernel brings pages of files in and takes them away: what was resident at the peak is what counts.

    Those of a checkpoint stay beside what is made of them until its file is closed.
    """
    names = ("anonymous_bytes", "file_bytes")
    highest = highest_together([gauges.get(name, EMPTY) for name in names], span)
    if highest is None or any(name not in base.readings for name in names):
        return
    anonymous, pages = (now - base.readings[name] for now, name in zip(highest, names, strict=True))
    if span.name in _LOADING and pages > 0:
        holders[categories.CHECKPOINT, "while it is read"] += pages
    elif pages:
        files = [key for key in holders if key[0] == categories.CHECKPOINT or key == _LIBRARIES]
        known = sum(holders[key] for key in files)
        for key in files:
            holders[key] = max(holders[key] + pages * holders[key] / known, 0.0)
    if span.name == "load" and anonymous > 0:
        holders[categories.TEMPORARIES, "while loading"] += anonymous
    elif span.name == "load" and anonymous < 0:
        _give_back(holders, categories.WEIGHTS, -anonymous)


def _device(
    span: SpanRow, like: str, base: Moment, known: Moments, gauges: Mapping[str, Series], profile: Profile
) -> Composition:
    assert span.device_peak_bytes is not None
    holders: Holders = defaultdict(float, base.held["device"])
    _on_top(holders, "device", like, base, known)
    for key in [key for key in holders if key[0] == categories.SLACK]:
        del holders[key]
    counted = base.readings.get("device_allocated_bytes", span.device_peak_bytes) > 0
    # An allocator that is switched off counts nothing: then tensors are all that is known to be allocated.
    allocated = span.device_peak_bytes if counted else round(sum(holders.values()))
    end = known.find("memory", span.name, "end", last=True) or base
    reserved = max(moment.readings.get("device_reserved_bytes", 0) for moment in (base, end))
    used = max(moment.readings.get("device_used_bytes", 0) for moment in (base, end))
    others = _others(base, gauges, used, alone=profile.run.mode == PROCESSES)
    holders[categories.OTHER, "allocated, but not explained"] = allocated - sum(holders.values())
    holders[categories.SLACK, "reserved, but not in use"] = max(reserved - allocated, 0)
    holders[categories.CONTEXT, ""] = max(used - others - max(reserved, 0 if counted else allocated), 0)
    whole = max(reserved, allocated) + holders[categories.CONTEXT, ""]
    return _settled(span, "device", round(whole), holders, others)


def _others(base: Moment, gauges: Mapping[str, Series], used: int, *, alone: bool) -> int:
    """Device memory that is not this process': all in use before it came, unless the driver lists its own.

    Beside a live object nobody saw the device before the process came: what is not torch's is then all its
    own.
    """
    own = gauges.get("device_process_bytes", EMPTY).at(base.row.time_ns)
    if own:
        return max(used - round(own), 0)
    if not alone:
        return 0
    before = gauges.get("device_used_bytes", EMPTY)
    return round(before.values[0]) if before.values else 0


def _settled(span: SpanRow, space: Space, peak: int, holders: Holders, others: int = 0) -> Composition:
    """Whole bytes, and `other` for the rest."""
    whole = {key: float(round(size)) for key, size in holders.items() if round(size)}
    rest = peak - sum(whole.values())
    if rest:
        key = (categories.OTHER, "explained by no holder")
        whole[key] = whole.get(key, 0.0) + rest
    return Composition(span.name, space, peak, whole, others)
