"""Latency in the field's words, on spans made by hand."""

from __future__ import annotations

import pytest

from llmflame.analysis.latency import Latency, latency, phase_seconds, spread
from llmflame.store.rows import Row

from .small import request, span, stored

MS = 1_000_000


def _requests(*scale: float) -> list[Row]:
    return [
        row
        for repetition, factor in enumerate(scale)
        for row in request(
            {
                "tokenize": round(1 * MS * factor),
                "prepare": round(2 * MS * factor),
                "prefill": round(30 * MS * factor),
                "decode": round(60 * MS * factor),
                "detokenize": round(4 * MS * factor),
            },
            steps=[round(20 * MS * factor), round(40 * MS * factor)],
            repetition=repetition,
            first=100 * (repetition + 1),
            start_ns=repetition * 1000 * MS,
            gap_ns=round(3 * MS * factor),
        )
    ]


def test_one_request() -> None:
    values = latency(stored(_requests(1), subject={"new_tokens": 3, "batch_size": 1}))
    assert values.ttft_ms == pytest.approx(33)
    assert values.e2e_ms == pytest.approx(100)
    assert values.tokens_per_s == pytest.approx(30)
    assert values.tpot is not None and values.tpot.median_ms == pytest.approx(30) and values.tpot.count == 2


def test_medians_over_three_requests() -> None:
    values = latency(stored(_requests(3, 1, 2), subject={"new_tokens": 3, "batch_size": 4}))
    assert values.ttft_ms == pytest.approx(66)
    assert values.e2e_ms == pytest.approx(200)
    assert values.tokens_per_s == pytest.approx(3 * 4 / 0.2)
    # 20, 40, 40, 60, 80, 120
    assert values.tpot is not None and values.tpot.median_ms == pytest.approx(50) and values.tpot.count == 6


def test_time_to_first_token_includes_what_lies_between_the_phases() -> None:
    rows: list[Row] = [
        span("request", 100 * MS, 1, repetition=0, start_ns=50 * MS),
        span("tokenize", 1 * MS, 2, parent=1, repetition=0, start_ns=50 * MS),
        span("prefill", 30 * MS, 3, parent=1, repetition=0, start_ns=60 * MS),
    ]
    assert latency(stored(rows)).ttft_ms == pytest.approx(40)


def test_a_run_that_made_no_request_has_no_latency() -> None:
    assert latency(stored([span("load", 5, 1)])) == Latency(None, None, None, None)


def test_a_request_that_was_not_finished_has_no_ttft() -> None:
    values = latency(stored([span("request", 5 * MS, 1, repetition=0)], subject={"new_tokens": 2}))
    assert (values.ttft_ms, values.tpot, values.e2e_ms, values.tokens_per_s) == (None, None, 5.0, None)


def test_the_anatomy_pass_is_no_latency() -> None:
    rows: list[Row] = [span("request", 5 * MS, 1, repetition=0, pass_name="anatomy")]
    assert latency(stored(rows)) == Latency(None, None, None, None)


def test_a_spread_of_nothing_and_of_one() -> None:
    assert spread([]) is None
    one = spread([4.0])
    assert one is not None and (one.median_ms, one.p10_ms, one.p90_ms, one.count) == (4.0, 4.0, 4.0, 1)


@pytest.mark.parametrize(
    ("count", "p10", "p90"),
    # Nearest rank: the ceil(q * n)-th of n.
    [(2, 1, 2), (3, 1, 3), (5, 1, 5), (9, 1, 9), (11, 2, 10), (15, 2, 14), (99, 10, 90), (101, 11, 91)],
)
def test_percentiles_are_nearest_rank(count: int, p10: int, p90: int) -> None:
    found = spread([float(value) for value in range(count, 0, -1)])
    assert found is not None
    assert (found.p10_ms, found.p90_ms, found.count) == (p10, p90, count)
    assert found.median_ms == (count + 1) / 2


def test_the_seconds_of_a_phase() -> None:
    profile = stored([span("load", 2_500_000_000, 1), span("import", 7, 2, parent=1)])
    assert phase_seconds(profile, "load") == 2.5
    assert phase_seconds(profile, "import") is None


@pytest.mark.parametrize(
    ("count", "p10", "p90"), [(1, 1, 1), (10, 1, 9), (20, 2, 18), (30, 3, 27), (100, 10, 90)]
)
def test_percentiles_are_the_nearest_rank(count: int, p10: int, p90: int) -> None:
    values = spread([float(value) for value in range(1, count + 1)])
    assert values is not None
    assert (values.p10_ms, values.p90_ms) == (p10, p90)
