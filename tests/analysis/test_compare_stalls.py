"""Two runs' stalls beside each other: where time moves, and who has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.compare.stalls import StallComparison, compare_stalls
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import read_profile
from tests.handmade_gpu import ADD, GEMM, handmade_gpu
from tests.handmade_stalls import STALLS, handmade_stalls, stall_rows

QUANTISED = {
    **STALLS,
    GEMM: {"long_scoreboard": (200, 150), "math_pipe_throttle": (600, 500), "selected": (200, 0)},
}


def compared(one: Path, other: Path) -> StallComparison | None:
    before, after = read_profile(one), read_profile(other)
    return compare_stalls(before, after, (build_run_tree(before), build_run_tree(after)))


def test_time_moves_from_one_reason_to_another(tmp_path: Path) -> None:
    """The products wait for arithmetic in B that waited for memory in A; nothing else is different."""
    other = handmade_stalls(tmp_path / "b.llmflame", list(stall_rows(QUANTISED)))
    found = compared(handmade_stalls(tmp_path / "a.llmflame"), other)
    assert found is not None and found.missing is None
    first, second = found.kernels[:2]
    assert (first.phase, first.kernel, first.reason) == ("decode", GEMM, "math_pipe_throttle")
    assert first.a_ns == 0 and first.b_share == pytest.approx(0.6)
    assert (second.phase, second.reason) == ("decode", "long_scoreboard")
    assert [second.a_share, second.b_share] == pytest.approx([0.77, 0.2])
    assert second.change_ns == pytest.approx(second.b_ns - second.a_ns) and second.change_ns < 0
    assert all(one.change_ns == 0 for one in found.kernels if one.kernel == ADD)


def test_groups_hold_what_their_kernels_have(tmp_path: Path) -> None:
    other = handmade_stalls(tmp_path / "b.llmflame", list(stall_rows(QUANTISED)))
    found = compared(handmade_stalls(tmp_path / "a.llmflame"), other)
    assert found is not None
    for one in found.groups:
        members = [each for each in found.kernels if (each.phase, each.group) == (one.phase, one.group)]
        assert one.a_ns == pytest.approx(sum(each.a_ns for each in members))
        assert one.b_ns == pytest.approx(sum(each.b_ns for each in members))
    for phase in ("prefill", "decode"):
        mine = [one for one in found.groups if one.phase == phase]
        assert sum(one.a_share for one in mine) == pytest.approx(1)
        assert sum(one.b_share for one in mine) == pytest.approx(1)


def test_one_run_without_stalls_is_named(tmp_path: Path) -> None:
    bare, stalls = handmade_gpu(tmp_path / "a.llmflame"), handmade_stalls(tmp_path / "b.llmflame")
    assert compared(bare, stalls) == StallComparison("a", (), ())
    assert compared(stalls, bare) == StallComparison("b", (), ())
    assert compared(bare, bare) is None


def test_a_run_against_itself_has_no_changes(tmp_path: Path) -> None:
    path = handmade_stalls(tmp_path / "a.llmflame")
    found = compared(path, path)
    assert found is not None and found.kernels
    assert {one.change_ns for one in (*found.kernels, *found.groups)} == {0.0}
