"""What memory pages cost a phase: faults, file pages mapped, and whether the weights' file was cached."""

from __future__ import annotations

from typing import Literal

from llmflame.analysis.phases import phase_spans
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow

WARM_SHARE = 0.9
COLD_SHARE = 0.1
Warmth = Literal["warm", "partly cached", "cold"]


def page_fault_ns(profile: Profile, span: SpanRow) -> float | None:
    """An estimate of the CPU time that all threads spent on a span's page faults: part of the time on CPU.

    Their number times the cost of one minor fault as measured on the recording machine.
    """
    cost = _report(profile, "faults", "minor fault cost")
    if cost is None or span.minor_faults is None:
        return None
    return span.minor_faults * cost


def mapped_bytes(profile: Profile, span: SpanRow) -> int | None:
    """Growth of the resident pages that belong to files (checkpoints, libraries) since the phase before."""
    before: SpanRow | None = None
    for other in phase_spans(profile):
        if other.id == span.id:
            break
        before = other
    if before is None or before.rss_file_bytes is None or span.rss_file_bytes is None:
        return None
    return span.rss_file_bytes - before.rss_file_bytes


def weights_cached_share(profile: Profile) -> float | None:
    """The share of the weight files' pages that was in the page cache before the clean pass' load, 0 to 1."""
    return _report(profile, "page cache", "weights cached before load")


def warmth(share: float | None) -> Warmth | None:
    """Was the load cold or warm?"""
    if share is None:
        return None
    return "warm" if share >= WARM_SHARE else "cold" if share <= COLD_SHARE else "partly cached"


def _report(profile: Profile, probe: str, name: str) -> float | None:
    for report in profile.probe_reports:
        if (report.pass_name, report.probe, report.name) == ("clean", probe, name):
            return report.value
    return None
