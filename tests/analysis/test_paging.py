"""Faults, mapped files and the page cache, by hand."""

from __future__ import annotations

import pytest

from llmflame.analysis.paging import mapped_bytes, page_fault_ns, warmth, weights_cached_share
from llmflame.analysis.phases import phase_spans
from llmflame.store.rows import ProbeReportRow, Row

from .small import span, stored


def test_faults_cost_what_one_costs() -> None:
    rows: list[Row] = [
        span("load", 100, 1, minor_faults=40),
        ProbeReportRow("clean", "faults", "minor fault cost", 250.0, "ns"),
    ]
    profile = stored(rows)
    assert page_fault_ns(profile, phase_spans(profile)[0]) == 10_000


def test_without_a_cost_or_a_count_nothing_is_said() -> None:
    profile = stored([span("load", 100, 1, minor_faults=40)])
    assert page_fault_ns(profile, phase_spans(profile)[0]) is None


def test_mapped_is_the_growth_since_the_phase_before() -> None:
    profile = stored(
        [
            span("import", 100, 1, rss_file_bytes=700),
            span("load", 100, 2, start_ns=100, rss_file_bytes=1000),
            span("warmup", 100, 3, start_ns=200, rss_file_bytes=900),
        ]
    )
    assert [mapped_bytes(profile, one) for one in phase_spans(profile)] == [None, 300, -100]


@pytest.mark.parametrize(
    ("share", "said"), [(1.0, "warm"), (0.95, "warm"), (0.5, "partly cached"), (0.02, "cold"), (None, None)]
)
def test_cold_or_warm(share: float | None, said: str | None) -> None:
    assert warmth(share) == said


def test_the_page_cache_is_the_clean_passs() -> None:
    rows: list[Row] = [
        ProbeReportRow("anatomy", "page cache", "weights cached before load", 1.0, "share"),
        ProbeReportRow("clean", "page cache", "weights cached before load", 0.25, "share"),
    ]
    assert weights_cached_share(stored(rows)) == 0.25
