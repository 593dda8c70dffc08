"""The modules as a table: layers together, own times that add up, a module inside itself once."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.modules_table import ROOT, modules_table
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.tables import Table
from llmflame.analysis.tree import Tree
from llmflame.errors import UsageError
from llmflame.store import metrics
from llmflame.store.model import Frame
from llmflame.store.profile import read_profile
from tests.handmade import LAYERS, handmade
from tests.handmade_gpu import handmade_gpu


def rows(table: Table) -> dict[object, dict[str, object]]:
    names = [column.name for column in table.columns]
    return {row[0]: dict(zip(names, row, strict=True)) for row in table.rows}


def test_layers_are_one_row(tmp_path: Path) -> None:
    tree = build_run_tree(read_profile(handmade(tmp_path / "a.llmflame"))).tree
    found = rows(modules_table(tree))
    assert set(found) == {ROOT, "model.layers.*"}
    layer = found["model.layers.*"]
    assert layer["class"] == "TinyLayer" and layer["instances"] == LAYERS
    assert layer["device_ns"] is None and layer["gpu_idle_ns"] is None
    assert found[ROOT]["instances"] == 1


def test_own_times_add_up_to_what_runs_in_modules(tmp_path: Path) -> None:
    tree = build_run_tree(read_profile(handmade_gpu(tmp_path / "a.llmflame"))).tree
    for phases in ((), ("prefill",), ("decode",)):
        table = modules_table(tree, phases)
        own = sum(int(row["self_ns"]) for row in rows(table).values())  # type: ignore[call-overload]
        inside = 0.0
        for node, phase in enumerate(phases_of(tree)):
            modules = any(tree.frame(above).kind == "module" for above in tree.path(node))
            if modules and phase in (phases or ("prefill", "decode")):
                inside += tree.selfs[metrics.WALL.name][node]
        assert own == pytest.approx(inside, abs=len(table.rows))
        root = rows(table)[ROOT]
        assert root["total_ns"] == pytest.approx(inside, abs=1)
        assert root["device_ns"] is not None and root["flops"] is not None


def test_a_module_inside_itself_counts_once() -> None:
    tree = Tree(metrics=[metrics.WALL, metrics.CALLS], selfs={"wall_ns": [], "calls": []})
    for parent, frame, own in (
        (-1, Frame("run", "run"), 0),
        (0, Frame("phase", "decode"), 5),
        (1, Frame("module", "Block", None, None, "blocks.0"), 10),
        (2, Frame("python", "forward", "a.py", 1), 20),
        (3, Frame("module", "Block", None, None, "blocks.1"), 40),
    ):
        tree.frames.append(frame)
        tree.node_frames.append(len(tree.frames) - 1)
        tree.parents.append(parent)
        tree.origins.append("scaled")
        tree.selfs["wall_ns"].append(float(own))
        tree.selfs["calls"].append(1.0)
    (row,) = rows(modules_table(tree)).values()
    assert (row["module"], row["instances"], row["calls"]) == ("blocks.*", 2, 2)
    assert (row["self_ns"], row["total_ns"], row["self_share"]) == (70, 70, 70 / 75)
    assert row["allocated_bytes"] is None
    assert modules_table(tree, ("decode",)).rows == modules_table(tree).rows
    with pytest.raises(UsageError, match="decode"):
        modules_table(tree, ("no such phase",))
