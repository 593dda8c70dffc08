"""From a traced window to a timeline: which calls waited for their own work, and what was launched where."""

from __future__ import annotations

import pytest

from llmflame.analysis.timeline import Traced, blocking, build, usual_residue_ns
from llmflame.store.rows import DeviceWorkRow, SliceRow

HOST, CALL, KERNEL, OTHER, WAIT = 1, 2, 3, 4, 5


def traced(
    slices: list[tuple[int, int]],
    works: list[tuple[int | None, int, int]],
    wall_ns: int,
    streams: tuple[int, ...] = (),
) -> Traced:
    """Slices are (node, start), works (launched, start, end), all of one stream unless `streams` tells."""
    return Traced(
        [SliceRow(1, number, node, start) for number, (node, start) in enumerate(slices)],
        [
            DeviceWorkRow(1, number, KERNEL, streams[number] if streams else 7, launched, start, end, None)
            for number, (launched, start, end) in enumerate(works)
        ],
        wall_ns,
    )


def test_a_call_that_returns_before_its_kernel_starts_waited_for_nothing() -> None:
    assert blocking(traced([(HOST, 0), (CALL, 10), (HOST, 14)], [(10, 15, 100)], 50)) == {}


def test_a_call_that_returns_while_its_kernel_runs_waited_for_nothing() -> None:
    """The tracer makes calls slower: a short kernel may begin within the call that launches it."""
    assert blocking(traced([(HOST, 0), (CALL, 10), (HOST, 20)], [(10, 15, 100)], 50)) == {}


def test_a_pageable_copy_holds_the_host_until_it_is_done() -> None:
    """The call begins at 10 and ends at 60; the copy runs from 15 to 55."""
    assert blocking(traced([(HOST, 0), (CALL, 10), (HOST, 60)], [(10, 15, 55)], 100)) == {1: 45}


def test_a_pageable_copy_behind_other_work_holds_the_host_for_that_too() -> None:
    """A kernel keeps the stream until 80; the copy is asked for at 20, runs from 80 to 90 and returns at 91.
    What the call does by itself is as long as the kernel's launch took: 5."""
    slices = [(HOST, 0), (CALL, 10), (HOST, 14), (OTHER, 20), (HOST, 91)]
    window = traced(slices, [(10, 15, 80), (20, 80, 90)], 100)
    assert blocking(window) == {3: 66}


def test_every_launch_waits_under_launch_blocking() -> None:
    window = traced([(CALL, 0), (HOST, 30), (CALL, 40), (HOST, 75)], [(0, 5, 29), (40, 46, 74)], 100)
    assert blocking(window) == {0: 25, 2: 29}


def test_a_slice_with_one_asynchronous_launch_is_not_blocking() -> None:
    """Two launches in one slice: the host went on after the first, before its kernel was done."""
    assert blocking(traced([(CALL, 0), (HOST, 50)], [(0, 5, 45), (10, 46, 200)], 100)) == {}


def test_work_without_a_known_launch_blocks_nobody_and_is_as_early_as_the_window() -> None:
    window = traced([(HOST, 0), (CALL, 10), (HOST, 14)], [(None, 3, 9), (10, 16, 20)], 50)
    assert blocking(window) == {}
    timeline = build(window, host_ns=lambda _: 10.0, bound_ns=lambda _: 0.0, is_wait=lambda _: False)
    first, second = timeline.works
    assert (first.slice, first.within, first.latency_ns, first.duration_ns) == (0, 0.0, 6.0, 6.0)
    assert (second.slice, second.within, second.latency_ns, second.duration_ns) == (1, 0.0, 6.0, 4.0)


def test_works_come_in_the_order_of_their_launches_with_the_usual_latency_where_they_queued() -> None:
    window = traced(
        [(HOST, 0), (CALL, 10), (WAIT, 20)],
        [(15, 50, 60), (10, 14, 50), (18, 24, 30)],
        80,
        (7, 7, 8),
    )
    timeline = build(
        window,
        host_ns=lambda number: float(number),
        bound_ns=lambda number: 100.0 * number,
        is_wait=lambda node: node == WAIT,
    )
    assert [(work.duration_ns, work.stream) for work in timeline.works] == [(36, 7), (6, 8), (10, 7)]
    # The first two found their streams free, after 4 and 6; the third waited for the first.
    assert [work.latency_ns for work in timeline.works] == [4, 6, 5]
    assert [work.within for work in timeline.works] == pytest.approx([0.0, 0.8, 0.5])
    assert [(piece.host_ns, piece.bound_ns) for piece in timeline.slices] == [(0, 0), (1, 100), (2, 200)]
    assert [piece.waits_for_all for piece in timeline.slices] == [False, False, True]
    assert timeline.wall_ns == 303


def test_a_blocking_slice_waits_for_its_own_works() -> None:
    window = traced([(HOST, 0), (CALL, 10), (HOST, 60)], [(2, 12, 13), (10, 15, 55)], 100)
    timeline = build(window, host_ns=lambda _: 1.0, bound_ns=lambda _: 0.0, is_wait=lambda _: False)
    assert [piece.waits_for for piece in timeline.slices] == [(), (1,), ()]


def test_a_wait_usually_goes_on_for_a_moment_after_the_device_is_done() -> None:
    """Works end at 50 and 150, the waits at 53 and 157; the third wait finds nothing to wait for."""
    window = traced(
        [(CALL, 0), (WAIT, 10), (CALL, 53), (WAIT, 60), (HOST, 157), (WAIT, 160)],
        [(0, 5, 50), (53, 58, 150)],
        161,
    )
    assert usual_residue_ns(window, lambda node: node == WAIT) == 3
    assert usual_residue_ns(window, lambda _: False) == 0
