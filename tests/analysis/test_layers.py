"""Merging a model's layers moves no amount."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.layers import with_layers_together
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.tree import Tree
from llmflame.store.profile import read_profile
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu


@pytest.fixture(params=[handmade, handmade_gpu])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return build_run_tree(read_profile(request.param(tmp_path / "a.llmflame"))).tree


def test_every_metric_keeps_its_sum(tree: Tree) -> None:
    merged = with_layers_together(tree)
    assert len(merged) < len(tree)
    for name, column in tree.selfs.items():
        assert sum(merged.selfs[name]) == pytest.approx(sum(column))
    assert all(parent < node for node, parent in enumerate(merged.parents))
    assert with_layers_together(merged).selfs == merged.selfs


def test_a_layer_is_one_node_for_all(tree: Tree) -> None:
    merged = with_layers_together(tree)
    paths = {frame.module for frame in merged.frames if frame.module}
    assert any("*" in path for path in paths)
    assert not any(part.isdecimal() for path in paths for part in path.split("."))
    children = [(parent, merged.node_frames[node]) for node, parent in enumerate(merged.parents)]
    assert len(set(children)) == len(children), "no two siblings are of one frame"


def test_nothing_stays_nothing() -> None:
    assert len(with_layers_together(Tree())) == 0
