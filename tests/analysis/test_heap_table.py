"""Who held the heap at a phase's peak, in a profile of a few rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.heap_table import NOT_FOLLOWED, heap_held_tree, heap_table
from llmflame.errors import UsageError
from llmflame.store import metrics
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import WindowRow
from llmflame.store.writer import ProfileWriter
from tests.analysis.small import observed, python

F, G, H = python("f", line=1), python("g", line=10), python("h", line=20)
OTHER = ("other", "import system", "<frozen importlib>", None, None)
HELD, HEAP = metrics.HEAP_HELD.name, metrics.HEAP.name
LEFT, COUNT = metrics.HEAP_LEFT.name, metrics.ALLOCATIONS.name
MAPPED = metrics.MAPPED.name


def window(number: int, name: str, kind: str = "allocations") -> WindowRow:
    return WindowRow("allocations", number, kind, name, None, 0, None, 7, 0)  # type: ignore[arg-type]


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    path = tmp_path / "x.llmflame"
    writer = ProfileWriter(path, version="0.0.test", mode="processes")
    writer.tree(
        window(2001, "load"),
        observed(
            {
                (F, G): {HELD: 100, HEAP: 300, COUNT: 3},
                (F, H): {HELD: 20, HEAP: 20, LEFT: 20, COUNT: 1, MAPPED: 4096},
                (H, G): {HELD: 7, HEAP: 7, LEFT: 7, COUNT: 1},
            }
        ),
    )
    writer.tree(window(2002, "decode"), observed({(F, H): {HELD: 27}, (OTHER,): {HELD: 3, HEAP: 3}}))
    writer.tree(window(1001, "decode", "traced"), observed({(F,): {metrics.WALL.name: 5}}))
    writer.finish("complete")
    return read_profile(path)


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
