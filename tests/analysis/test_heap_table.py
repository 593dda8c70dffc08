"""Who held the heap at a phase's peak, in a profile of a few rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.heap_table import NOT_FOLLOWED, heap_held_tree, heap_table, heap_tree_table
from llmflame.analysis.tree_table import TreeLimits
from llmflame.errors import UsageError
from llmflame.store.profile import Profile, read_profile
from llmflame.store.writer import ProfileWriter
from tests.handmade_heap import HELD, handmade_heap


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return read_profile(handmade_heap(tmp_path / "x.llmflame"))


def test_the_largest_peak_s_phase_is_shown_function_by_function(profile: Profile) -> None:
    table = heap_table(profile)
    assert table.rows == (
        ("load", "g", "x.py:10", 107, 307, 7, 0, 4),
        ("load", "h", "x.py:20", 20, 20, 20, 4096, 1),
    )
    assert table.notes == ("load: 127 B of the heap are held at its peak.",)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_phases_can_be_chosen(profile: Profile) -> None:
    assert heap_table(profile, ("decode",)).rows == (
        ("decode", "h", "x.py:20", 27, 0, 0, 0, 0),
        ("decode", "import system", "<frozen importlib>", 3, 3, 0, 0, 0),
    )
    assert [row[3] for row in heap_table(profile, ("decode", "load")).rows] == [107, 27, 20, 3]
    with pytest.raises(UsageError, match="load, decode"):
        heap_table(profile, ("prefill",))


def test_a_tree_of_what_is_held_at_a_peak(profile: Profile) -> None:
    tree = heap_held_tree(profile, "load")
    assert tree.totals(HELD)[0] == 127
    named = {
        tuple(tree.frame(at).name for at in tree.path(node)): total
        for node, total in enumerate(tree.totals(HELD))
    }
    assert named == {
        ("load",): 127,
        ("load", "f"): 120,
        ("load", "f", "g"): 100,
        ("load", "f", "h"): 20,
        ("load", "h"): 7,
        ("load", "h", "g"): 7,
    }
    assert all(parent < node for node, parent in enumerate(tree.parents))
    with pytest.raises(UsageError, match="--phase warmup"):
        heap_held_tree(profile, "warmup")


def test_a_profile_without_the_pass_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "x.llmflame"
    ProfileWriter(path, version="0.0.test", mode="processes").finish("complete")
    table = heap_table(read_profile(path))
    assert (table.rows, table.notes) == ((), (NOT_FOLLOWED,))
    with pytest.raises(UsageError, match="--host-allocations"):
        heap_tree_table(read_profile(path), TreeLimits())


def test_the_tree_s_rows_add_up_to_the_peak_in_the_note(profile: Profile) -> None:
    table = heap_tree_table(profile, TreeLimits())
    assert table.notes == heap_table(profile).notes, "the phase with the highest peak"
    total, own, name = (table.place(column) for column in ("total_bytes", "self_bytes", "name"))
    assert [(row[name], row[total], row[own]) for row in table.rows] == [
        ("load", 127, 0),
        ("f", 120, 0),
        ("g", 100, 100),
        ("h", 20, 20),
        ("h", 7, 0),
        ("g", 7, 7),
    ]


def test_a_tree_is_of_one_phase_and_hides_frames_that_pass_a_call_on(profile: Profile) -> None:
    def names(*, all_frames: bool) -> list[object]:
        table = heap_tree_table(profile, TreeLimits(), ("decode",), all_frames=all_frames)
        return [row[table.place("name")] for row in table.rows]

    assert names(all_frames=False) == ["decode", "f", "h", "import system"]
    assert names(all_frames=True) == ["decode", "f", "_call_impl", "h", "import system"]
    for wrong in (("decode", "load"), ("prefill",)):
        with pytest.raises(UsageError):
            heap_tree_table(profile, TreeLimits(), wrong)
