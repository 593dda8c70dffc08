"""The room for slices in a profile: a window's are kept whole or not at all; what was left out is told."""

from __future__ import annotations

from typing import Any

import pytest

from llmflame.recording.slices import SliceRoom
from llmflame.store.observed import ObservedThread, ObservedTree
from llmflame.store.rows import WindowRow


class Reports:
    """A session that gathers reports."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def report(self, *row: Any) -> None:
        self.rows.append(row)


def window(count: int, *, kind: Any = "traced", step: int = 8) -> tuple[WindowRow, ObservedTree]:
    tree = ObservedTree()
    tree.slices = [(tree.child(0, ("python", "f", "a.py", 1, None)), start) for start in range(count)]
    return WindowRow("anatomy", 1001, kind, "decode", step, 100, None, 50, 0), tree


def test_windows_are_kept_until_the_room_is_used_up() -> None:
    session = Reports()
    room = SliceRoom(session, most=10)  # type: ignore[arg-type]
    kept = []
    for row, tree in (window(6, step=1), window(5, step=8), window(4, step=64), window(1, step=512)):
        room.fit(row, tree)
        kept.append(len(tree.slices))
    assert kept == [6, 0, 4, 0]
    assert session.rows == [
        ("tracer", "slices left out of decode step 8", 5, "count"),
        ("tracer", "slices left out of decode step 512", 1, "count"),
    ]


def test_where_a_device_worked_all_are_kept_and_take_no_room() -> None:
    session = Reports()
    room = SliceRoom(session, most=5)  # type: ignore[arg-type]
    row, tree = window(50)
    tree.device_work = [(1, 7, 0, 1, 2, None)]
    room.fit(row, tree)
    assert len(tree.slices) == 50
    row, tree = window(5)
    room.fit(row, tree)
    assert len(tree.slices) == 5 and session.rows == []


def test_a_window_for_shapes_keeps_none() -> None:
    session = Reports()
    row, tree = window(5, kind="shapes")
    tree.threads = [ObservedThread("pool_0", 1, stays=[(1, 0, 5)])]
    SliceRoom(session).fit(row, tree)  # type: ignore[arg-type]
    assert tree.slices == [] and tree.threads == [] and session.rows == []


@pytest.mark.parametrize(("kind", "probe"), [("traced", "tracer"), ("sampled", "sampler")])
def test_threads_have_room_of_their_own_with_a_device_too(kind: Any, probe: str) -> None:
    session = Reports()
    room = SliceRoom(session, most=10, most_of_threads=7)  # type: ignore[arg-type]
    kept = []
    for step, stays in ((1, 4), (8, 4), (64, 3)):
        row, tree = window(0, kind=kind, step=step)
        tree.device_work = [(1, 7, 0, 1, 2, None)]
        halves = ([(1, 0, 1)] * (stays // 2), [(1, 0, 1)] * (stays - stays // 2))
        tree.threads = [ObservedThread(None, number, stays=half) for number, half in enumerate(halves)]
        room.fit(row, tree)
        kept.append(sum(len(thread.stays) for thread in tree.threads))
    assert kept == [4, 0, 3]
    assert session.rows == [(probe, "slices of threads left out of decode step 8", 4, "count")]
