"""How much of the whole has a name."""

from __future__ import annotations

import pytest

from llmflame.analysis.coverage import bytes_coverage, phases_of, wall_coverage
from llmflame.analysis.tree import Tree
from llmflame.store.model import Frame


def tree_of(nodes: list[tuple[int, Frame]], **selfs: list[float]) -> Tree:
    frames = list(dict.fromkeys(frame for _, frame in nodes))
    return Tree(
        frames=frames,
        parents=[parent for parent, _ in nodes],
        node_frames=[frames.index(frame) for _, frame in nodes],
        selfs=selfs,
        origins=["measured"] * len(nodes),
    )


RUN, LOAD, DECODE = Frame("run", "m"), Frame("phase", "load"), Frame("phase", "decode")
F, REST = Frame("python", "f", "x.py", 1), Frame("other", "unattributed")
NODES = [(-1, RUN), (0, LOAD), (1, F), (1, REST), (0, DECODE), (4, F), (5, REST), (0, REST)]


def test_phases_of_nodes() -> None:
    assert phases_of(tree_of(NODES)) == ["run", "load", "load", "load", "decode", "decode", "decode", "run"]


def test_unattributed_frames_and_a_phases_own_time_have_no_name() -> None:
    tree = tree_of(NODES, wall_ns=[0.0, 10, 60, 30, 0, 90, 10, 100])
    assert wall_coverage(tree) == pytest.approx({"load": 0.6, "decode": 0.9, "run": 150 / 300})


def test_a_tree_without_time_is_covered_nowhere() -> None:
    assert wall_coverage(tree_of(NODES)) == {}
    assert wall_coverage(tree_of(NODES, wall_ns=[0.0] * 8)) == {}


def test_a_function_called_unattributed_in_a_phase_of_no_time() -> None:
    tree = tree_of(NODES, wall_ns=[0.0, 0, 0, 0, 5, 5, 0, 0])
    assert wall_coverage(tree) == {"decode": 0.5, "run": 0.5}


def test_bytes_on_host_and_device_count_alike() -> None:
    tree = tree_of(
        NODES,
        allocated_bytes=[0.0, 10, 20, 0, 0, 0, 0, 0],
        device_allocated_bytes=[0.0, 0, 0, 10, 0, 40, 0, 0],
    )
    assert bytes_coverage(tree) == pytest.approx(60 / 80)


def test_no_bytes_are_unknown_not_zero() -> None:
    assert bytes_coverage(tree_of(NODES)) is None
    assert bytes_coverage(tree_of(NODES, allocated_bytes=[0.0] * 8)) is None
    assert bytes_coverage(tree_of(NODES, allocated_bytes=[0.0, 5, 0, 0, 0, 0, 0, 0])) == 0.0
