"""The tree of bytes holds what the holders hold; what a step took hangs below the frames that took it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.memory.composition import compositions
from llmflame.analysis.memory.held_table import held_table
from llmflame.analysis.memory.held_tree import METRIC, held_tree, held_trees
from llmflame.analysis.tree import Tree
from llmflame.analysis.tree_table import TreeLimits
from llmflame.errors import UsageError
from llmflame.store import categories as c
from llmflame.store.profile import Profile, read_profile
from tests.handmade import MIB, handmade
from tests.handmade_memory import handmade_memory


@pytest.fixture(scope="module", params=[False, True], ids=["host", "device"])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    path = tmp_path_factory.mktemp("held") / "a.llmflame"
    return read_profile(handmade_memory(path, device=request.param))


def path_of(tree: Tree, name: str) -> list[str]:
    node = next(node for node in range(len(tree)) if tree.frame(node).name == name)
    return [tree.frame(each).name for each in tree.path(node)]


def test_a_tree_holds_all_that_somebody_holds(profile: Profile) -> None:
    for composition, tree in held_trees(profile):
        total = tree.totals(METRIC[composition.space].name)[0]
        assert total == sum(size for size in composition.holders.values() if size > 0)
        assert all(value >= 0 for value in tree.selfs[METRIC[composition.space].name])


def test_a_step_hangs_below_the_frames_that_took_it(profile: Profile) -> None:
    decode = next(one for one in compositions(profile) if one.phase == "decode" and one.of(c.ACTIVATIONS))
    tree = held_tree(profile, decode)
    assert path_of(tree, c.TEMPORARIES) == [
        "Tiny-2L", "decode", "TinyForCausalLM", "forward", "TinyLayer", "TinyMLP", "aten::mm", c.TEMPORARIES,
    ]  # fmt: skip
    own = tree.selfs[METRIC[decode.space].name]
    by_name = {tree.frame(node).name: own[node] for node in range(len(tree)) if own[node]}
    assert by_name[c.TEMPORARIES] == 2 * MIB and by_name[c.ACTIVATIONS] == 1 * MIB
    weights = [tree.frame(node) for node in range(len(tree)) if "mlp" in str(tree.frame(node).module)]
    assert {frame.name for frame in weights} == {"TinyMLP", "mlp"}, "by its class where one is known"


def test_the_table_is_of_one_phase_in_bytes(profile: Profile) -> None:
    table = held_table(profile, TreeLimits())
    units = {column.name: column.unit for column in table.columns}
    assert units["total_bytes"] == units["self_bytes"] == "bytes" and "total_ns" not in units
    assert "peak in decode" in table.notes[0], "the higher of prefill and decode"
    own = sum(row[table.place("self_bytes")] for row in table.rows)  # type: ignore[misc]
    assert own == table.rows[0][table.place("total_bytes")]
    load = held_table(profile, TreeLimits(), ("load",))
    assert "the host's peak in load" in load.notes[0]
    with pytest.raises(UsageError, match="one phase"):
        held_table(profile, TreeLimits(), ("load", "decode"))
    with pytest.raises(UsageError, match="has the phases load, warmup, prefill, decode"):
        held_table(profile, TreeLimits(), ("nope",))


def test_without_a_census_there_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nobody counted"):
        held_table(read_profile(handmade(tmp_path / "a.llmflame")), TreeLimits())
