"""Lanes of threads: named apart, in order, within their windows, and never part of wall time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmflame.analysis.kept_slices import unkept
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.analysis.thread_lanes import ThreadLane, sampled_lanes, traced_lanes
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import ProbeReportRow, ThreadRow, ThreadSliceRow
from tests.handmade import MS, handmade
from tests.handmade_gpu import handmade_gpu


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return read_profile(handmade(tmp_path / "a.llmflame", slices=True, threads=True))


def told(profile: Profile, lane: ThreadLane) -> list[tuple[str, float, float]]:
    """Frames, and from when to when in milliseconds."""
    return [
        (profile.frames[profile.nodes[node].frame].name, start / MS, end / MS)
        for node, start, end in lane.stays
    ]


def test_a_cold_starts_phases_are_joined(profile: Profile) -> None:
    """Import begins 20 ms and load 1,020 ms after the run's start."""
    main, first, second = sampled_lanes(profile)
    assert [lane.label for lane in (main, first, second)] == ["main thread", "pool_0", "pool_1"]
    assert [(start, end) for _, start, end in told(profile, main)] == [
        (20, 420),
        (420, 570),
        (570, 1020),
        (1020, 1220),
        (1220, 1520),
    ]
    assert told(profile, first) == [("materialize", 1220, 1300), ("materialize", 1320, 1420)]
    assert (first.busy_ns, second.busy_ns) == (180 * MS, 100 * MS)


def test_of_some_phases(profile: Profile) -> None:
    assert [lane.label for lane in sampled_lanes(profile, ["import"])] == ["main thread"]
    (main, *_) = sampled_lanes(profile, ["load"])
    assert main.stays[0][1] == 1020 * MS
    assert sampled_lanes(profile, ["decode"]) == []


def test_a_traced_window_has_the_others(profile: Profile) -> None:
    lanes = traced_lanes(profile)
    assert set(lanes) == {1003}
    (lane,) = lanes[1003]
    assert lane.label == "forward"
    assert told(profile, lane) == [("wait", 0, 1), ("run", 1, 3), ("wait", 5, 12)]


def test_names_that_several_have_or_none_has_are_told_apart(profile: Profile) -> None:
    node = profile.thread_slices[-1].node
    names = [("a", 10), ("a", 11), (None, 12), (None, None), ("main thread", 14)]
    threads = tuple(ThreadRow(1003, number, *name) for number, name in enumerate(names, start=1))
    pieces = tuple(ThreadSliceRow(1003, row.number, 0, node, 0, MS) for row in threads)
    changed = replace(profile, threads=threads, thread_slices=pieces)
    labels = [lane.label for lane in traced_lanes(changed)[1003]]
    assert labels == ["a (10)", "a (11)", "thread 12", "thread 4", "main thread"]


def test_what_sticks_out_or_overlaps_is_cut(profile: Profile) -> None:
    node, wall = profile.thread_slices[-1].node, 12 * MS
    edges = [(-5, 10), (5, 20), (30, 30), (wall - 1, wall + 9), (wall + 1, wall + 5)]
    pieces = tuple(ThreadSliceRow(1003, 1, number, node, *edge) for number, edge in enumerate(edges))
    changed = replace(profile, threads=(ThreadRow(1003, 1, "a", 1),), thread_slices=pieces)
    (lane,) = traced_lanes(changed)[1003]
    assert [(start, end) for _, start, end in lane.stays] == [(0, 10), (10, 20), (wall - 1, wall)]


def test_they_are_beside_the_wall(tmp_path: Path, profile: Profile) -> None:
    """Whatever threads did when, no number of a view moves but that of overlapped time."""
    without = read_profile(handmade(tmp_path / "b.llmflame", slices=True))
    assert summarise(profile)["phases"] == summarise(without)["phases"]
    with_threads, bare = build_run_tree(profile).tree, build_run_tree(without).tree
    assert sum(with_threads.selfs["wall_ns"]) == sum(bare.selfs["wall_ns"])


def test_a_run_without_threads_has_no_lanes(tmp_path: Path) -> None:
    for make in (handmade, handmade_gpu):
        bare = read_profile(make(tmp_path / f"{make.__name__}.llmflame"))
        assert sampled_lanes(bare) == [] and traced_lanes(bare) == {}


def test_what_the_recording_left_out_is_known(profile: Profile) -> None:
    assert unkept(profile).threads == ()
    reports = (
        ProbeReportRow("clean", "sampler", "slices of threads left out of load", 99_999, "count"),
        ProbeReportRow("anatomy", "tracer", "slices of threads left out of decode step 1", 99_999, "count"),
    )
    told_of = unkept(replace(profile, probe_reports=reports))
    assert [(row.pass_name, row.label) for row in told_of.threads] == [
        ("clean", "load"),
        ("anatomy", "decode step 1"),
    ]
    assert told_of.too_many == ()
