"""Stalls in a terminal: the table with its words, the tree, the summary, two runs, and what is imported."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import RenderableType

from llmflame.analysis.compare.comparison import compare
from llmflame.analysis.compare.document import diff_document
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.stalls.shown_tree import shown_tree
from llmflame.analysis.stalls.stalls_table import stalls_table
from llmflame.analysis.summary import summarise
from llmflame.analysis.tree_table import TREES, TreeLimits, tree_table
from llmflame.store import metrics
from llmflame.store.profile import Profile, read_profile
from llmflame.views.compare import compare_view
from llmflame.views.stall_groups import stall_changes, stall_lines
from llmflame.views.stalls import reason_weights, stalls_view
from llmflame.views.tree import tree_view
from tests.golden_files import check_golden
from tests.handmade_gpu import GEMM, handmade_gpu
from tests.handmade_stalls import STALLS, handmade_stalls, stall_rows
from tests.views.test_terminal import HOSTILE, drawn

NARROW, WIDE = 80, 160


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_stalls(tmp_path_factory.mktemp("stalls") / "a.llmflame"))


def views_of(profile: Profile) -> dict[str, RenderableType]:
    run = build_run_tree(profile)
    limits = TreeLimits(min_share=0.04, alike=1)
    return {
        "stalls": stalls_view(stalls_table(profile, run.tree, ("decode",))),
        "stalls-tree": tree_view(tree_table(shown_tree(profile, run), limits, ("decode",), TREES["device"])),
    }


@pytest.mark.parametrize("view", ["stalls", "stalls-tree"])
def test_view_is_as_agreed(profile: Profile, view: str) -> None:
    check_golden(view, drawn(views_of(profile)[view], NARROW))


def test_a_wide_terminal_has_every_group(profile: Profile) -> None:
    shown = drawn(views_of(profile)["stalls"], WIDE)
    assert all(words in shown for words in ("Device memory", "Shared memory", "Barriers", "Issuing"))


def test_reasons_weigh_by_device_time(profile: Profile) -> None:
    """Not by samples: a kernel with many warps has many in the same time."""
    weights = dict(reason_weights(stalls_table(profile, build_run_tree(profile).tree)))
    assert max(weights, key=lambda reason: weights[reason]) == "long_scoreboard"
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["sleeping"] == 0  # of a kernel that took no time


def test_the_summary_names_the_groups(profile: Profile) -> None:
    lines = [drawn(line, 100).strip() for line in stall_lines(summarise(profile)["stalls"])]
    assert len(lines) == 2
    assert lines[1].startswith("Kernels of decode by why they wait: device memory 67.7 %, ")


def test_nothing_is_said_without_stalls(tmp_path: Path) -> None:
    without = read_profile(handmade_gpu(tmp_path / "a.llmflame"))
    assert stall_lines(summarise(without)["stalls"]) == []
    run = build_run_tree(without)
    assert "no stalls were sampled" in drawn(stalls_view(stalls_table(without, run.tree)), NARROW)
    assert stall_changes(None) is None


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    other = {
        **STALLS,
        GEMM: {"long_scoreboard": (2_000, 1_500), "wait": (6_000, 3_000), "selected": (2_000, 0)},
    }
    a = read_profile(handmade_stalls(tmp_path / "a.llmflame"))
    b = read_profile(handmade_stalls(tmp_path / "b.llmflame", stall_rows(other)))
    shown = drawn(compare_view(diff_document(compare(a, b), metrics.WALL, 12), metrics.WALL), 120)
    assert "Why kernels wait, by GPU time" in shown
    row = next(line for line in shown.splitlines() if "device memory" in line)
    assert " ".join(row.split()) == "decode device memory 1.42 ms 368 µs -1.05 ms 67.7 % 17.6 %"
    none = read_profile(handmade_gpu(tmp_path / "c.llmflame"))
    shown = drawn(compare_view(diff_document(compare(none, b), metrics.WALL, 12), metrics.WALL), 120)
    assert "Only B has stalls." in shown


def test_with_all_frames_the_tree_goes_down_to_instructions(profile: Profile) -> None:
    run = build_run_tree(profile)
    kinds = {frame.kind for frame in shown_tree(profile, run, all_frames=True).frames}
    assert "instruction" in kinds
    assert "instruction" not in {frame.kind for frame in shown_tree(profile, run).frames}


@pytest.mark.parametrize("all_frames", [False, True])
def test_stalls_keep_the_sums(profile: Profile, all_frames: bool) -> None:
    run = build_run_tree(profile)
    tree = shown_tree(profile, run, all_frames=all_frames)
    for name in ("wall_ns", "device_ns", "host_ns"):
        assert sum(tree.selfs[name]) == pytest.approx(sum(run.tree.selfs[name]), abs=1e-3)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_kernels_are_shown_not_obeyed(tmp_path: Path, name: str) -> None:
    rows = stall_rows({name if kernel == GEMM else kernel: own for kernel, own in STALLS.items()})
    hostile = read_profile(handmade_stalls(tmp_path / "a.llmflame", rows, kernel=name))
    for view in views_of(hostile).values():
        shown = drawn(view, NARROW)
        assert not any(ord(letter) < 32 and letter != "\n" for letter in shown)
        assert "\u202e" not in shown
