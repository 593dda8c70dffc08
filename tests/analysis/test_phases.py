"""The phases of one cold start and one warm request, and what they waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.phases import (
    Waiting,
    decode_steps,
    gap_ns,
    parts_of,
    phase_spans,
    representative_repetition,
    request_span,
    run_wall_ns,
    steps,
    waiting,
)
from llmflame.store.rows import Row

from .small import request, span, stored

COLD: list[Row] = [
    span("startup", 5, 1, start_ns=0),
    span("import", 10, 2, start_ns=5),
    span("load", 20, 3, start_ns=15),
    span("weights", 15, 4, parent=3, start_ns=16),
    span("warmup", 40, 5, start_ns=35),
]
PHASES = {"tokenize": 1, "prepare": 2, "prefill": 30, "decode": 60, "detokenize": 3}


def test_the_order_is_that_of_a_cold_start_and_a_request() -> None:
    profile = stored([*request(PHASES, steps=[20, 40]), *COLD])
    assert [(s.name, s.wall_ns) for s in phase_spans(profile)] == [
        ("startup", 5),
        ("import", 10),
        ("load", 20),
        ("warmup", 40),
        *PHASES.items(),
    ]
    assert run_wall_ns(profile) == 75 + sum(PHASES.values())
    assert gap_ns(profile) == 0


def test_time_between_phases_is_named_and_part_of_the_run() -> None:
    profile = stored(request(PHASES, gap_ns=7))
    assert gap_ns(profile) == 7
    assert run_wall_ns(profile) == sum(PHASES.values()) + 7
    found = request_span(profile)
    assert found is not None and found.wall_ns == run_wall_ns(profile)


@pytest.mark.parametrize(
    ("walls", "chosen"), [([50], 0), ([10, 30, 20], 2), ([10, 30, 20, 40], 2), ([20, 10], 1), ([7, 7, 9], 0)]
)
def test_the_median_request_stands_for_all(walls: list[int], chosen: int) -> None:
    rows = [
        row
        for repetition, wall in enumerate(walls)
        for row in request({"prefill": wall}, repetition=repetition, first=100 * (repetition + 1))
    ]
    profile = stored(rows)
    assert representative_repetition(profile) == chosen
    assert [s.repetition for s in phase_spans(profile)] == [chosen]


def test_an_empty_profile_has_no_phases() -> None:
    profile = stored()
    assert phase_spans(profile) == [] and run_wall_ns(profile) == gap_ns(profile) == 0
    assert representative_repetition(profile) is None and request_span(profile) is None


def test_a_run_that_ended_in_load_has_the_phases_until_then() -> None:
    profile = stored(COLD[:3])
    assert [s.name for s in phase_spans(profile)] == ["startup", "import", "load"]
    assert run_wall_ns(profile) == 35 and gap_ns(profile) == 0


def test_the_anatomy_passes_spans_are_not_the_runs() -> None:
    profile = stored([span("load", 99, 1, pass_name="anatomy"), span("load", 20, 1)])
    assert [s.wall_ns for s in phase_spans(profile)] == [20]


def test_parts_lie_below_their_phase() -> None:
    profile = stored([*COLD, span("weights", 99, 4, pass_name="anatomy", parent=3)])
    assert [(s.name, s.wall_ns) for s in parts_of(profile, phase_spans(profile)[2])] == [("weights", 15)]


def test_a_part_that_is_called_like_a_phase_is_none() -> None:
    profile = stored([*COLD[:3], span("import", 3, 9, parent=3, start_ns=0)])
    assert [s.wall_ns for s in phase_spans(profile)] == [5, 10, 20]


def test_steps_in_order() -> None:
    rows = [*request(PHASES, steps=[20, 40], repetition=1, first=200), *request(PHASES, steps=[1, 2, 3])]
    profile = stored(rows)
    assert [(s.repetition, s.step) for s in steps(profile)] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 0),
        (1, 1),
        (1, 2),
    ]
    assert [s.wall_ns for s in decode_steps(profile)] == [1, 2, 3, 20, 40]
    assert [s.wall_ns for s in decode_steps(profile, repetition=1)] == [20, 40]
    assert steps(profile, pass_name="anatomy") == []


def test_a_second_chunk_of_the_prompt_is_no_decode_step() -> None:
    rows: list[Row] = [
        span("prefill", 30, 1, repetition=0),
        span("step", 20, 2, parent=1, repetition=0, step=0),
        span("step", 10, 3, parent=1, repetition=0, step=1),
        span("decode", 5, 4, repetition=0),
        span("step", 5, 5, parent=4, repetition=0, step=2),
    ]
    assert [s.step for s in decode_steps(stored(rows))] == [2]


@pytest.mark.parametrize(
    ("cpu", "queue", "disk", "expected"),
    [
        (60, 10, 5, Waiting(60, 10, 5, 25)),
        (60, None, 5, Waiting(60, None, 5, 35)),
        (60, 10, None, Waiting(60, 10, None, 30)),
        (120, 10, 5, Waiting(100, 0, 0, 0)),
        (90, 30, 30, Waiting(90, 10, 0, 0)),
        (50, 20, 90, Waiting(50, 20, 30, 0)),
        (0, 0, 0, Waiting(0, 0, 0, 100)),
        (None, 10, 5, Waiting(None, 10, 5, None)),
        (None, None, None, Waiting(None, None, None, None)),
    ],
)
def test_waiting(cpu: int | None, queue: int | None, disk: int | None, expected: Waiting) -> None:
    assert waiting(span("load", 100, 1, thread_cpu_ns=cpu, run_queue_ns=queue, disk_wait_ns=disk)) == expected


NS = st.integers(0, 10**12)


@given(NS, NS, st.none() | NS, st.none() | NS)
def test_the_parts_of_the_waiting_add_up_to_the_wall(
    wall: int, cpu: int, queue: int | None, disk: int | None
) -> None:
    parts = waiting(span("load", wall, 1, thread_cpu_ns=cpu, run_queue_ns=queue, disk_wait_ns=disk))
    values = [parts.on_cpu_ns, parts.run_queue_ns, parts.disk_ns, parts.other_ns]
    assert sum(value or 0 for value in values) == wall
    assert all(value is None or value >= 0 for value in values)
    assert (parts.run_queue_ns is None) == (queue is None) and (parts.disk_ns is None) == (disk is None)
