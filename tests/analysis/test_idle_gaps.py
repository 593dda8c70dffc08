"""Gaps of a traced window: with the device's work they make up the window, each with its cause."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from llmflame.analysis.idle_gaps import idle_gaps
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import DeviceWorkRow, SliceRow, WindowRow
from tests.handmade_gpu import handmade_gpu


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_gpu(tmp_path_factory.mktemp("gaps") / "g.llmflame"))


def busy_ns(works: list[DeviceWorkRow], wall: int) -> int:
    """Nanoseconds of a window in which any stream works."""
    edges = [False] * wall
    for work in works:
        for at in range(max(work.start_ns, 0), min(work.end_ns, wall)):
            edges[at] = True
    return sum(edges)


def window(profile: Profile, number: int) -> tuple[WindowRow, list[SliceRow], list[DeviceWorkRow]]:
    row = next(row for row in profile.windows if row.id == number)
    return (
        row,
        [piece for piece in profile.slices if piece.window == number],
        [work for work in profile.device_work if work.window == number],
    )


@pytest.mark.parametrize("number", [1001, 1002])
def test_gaps_and_work_make_up_the_window(profile: Profile, number: int) -> None:
    row, slices, works = window(profile, number)
    gaps = idle_gaps(profile, row, slices, works)
    assert gaps and all(gap.start_ns < gap.end_ns for gap in gaps)
    assert all(one.end_ns <= other.start_ns for one, other in pairwise(gaps))
    assert sum(gap.end_ns - gap.start_ns for gap in gaps) + busy_ns(works, row.wall_ns) == row.wall_ns


def test_causes_are_those_of_the_hosts_frames(profile: Profile) -> None:
    gaps = idle_gaps(profile, *window(profile, 1002))
    causes = {gap.cause for gap in gaps}
    assert gaps[0].cause == "launch-bound Python" and gaps[0].start_ns == 0
    assert "synchronisation" in causes, "the host waits 3 us longer than the device works"
    neighbours = pairwise(gaps)
    assert not any(one.end_ns == other.start_ns and one.cause == other.cause for one, other in neighbours)


def test_without_device_work_there_are_no_gaps(profile: Profile) -> None:
    row, slices, works = window(profile, 1002)
    assert idle_gaps(profile, row, slices, []) == [] and idle_gaps(profile, row, [], works) == []


def test_work_in_any_order_on_any_stream(profile: Profile) -> None:
    """Overlapping work, before and after the window too: the sum is still the window."""
    row, slices, works = window(profile, 1002)
    chance = random.Random(5)
    for _ in range(20):
        made = []
        for number in range(40):
            start = chance.randint(-1_000, row.wall_ns + 1_000)
            end = start + chance.randint(0, 60_000)
            made.append(works[0]._replace(number=number, stream=number % 3, start_ns=start, end_ns=end))
        gaps = idle_gaps(profile, row, slices, made)
        assert sum(gap.end_ns - gap.start_ns for gap in gaps) + busy_ns(made, row.wall_ns) == row.wall_ns
