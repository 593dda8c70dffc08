"""The frames with the most time of their own."""

from __future__ import annotations

import pytest

from llmflame.analysis.top import owners_of, top_frames
from llmflame.store.model import Frame

from .test_coverage import tree_of

RUN, DECODE, LOAD = Frame("run", "m"), Frame("phase", "decode"), Frame("phase", "load")
ROOT = Frame("module", "Llama", module="")
MLP = Frame("module", "LlamaMLP", module="layers.0.mlp")
FORWARD = Frame("python", "forward", "llama.py", 7)
MM = Frame("op", "aten::mm")
LOST = Frame("module", "Stray")
NODES = [
    (-1, RUN),
    (0, LOAD),
    (1, MM),
    (0, DECODE),
    (3, ROOT),
    (4, MLP),
    (5, FORWARD),
    (6, MM),
    (5, MM),
    (3, MM),
    (4, LOST),
    (10, MM),
]


def test_owners_are_the_nearest_module_with_a_path() -> None:
    assert owners_of(tree_of(NODES)) == [
        None, None, None, None, None, *["layers.0.mlp"] * 4, None, None, None,
    ]  # fmt: skip


def test_top_frames_sum_over_paths_but_not_over_phases_or_modules() -> None:
    tree = tree_of(
        NODES,
        wall_ns=[0.0, 0, 100, 50, 10, 5, 30, 60, 40, 20, 3, 2],
        calls=[0.0, 0, 1, 0, 1, 1, 1, 2, 3, 4, 1, 1],
        allocated_bytes=[0.0, 0, 64, 0, 0, 0, 0, 16, 8, 0, 0, 0],
    )
    found = top_frames(tree, 10)
    assert [(f.path, f.self_ns, f.calls, f.allocated_bytes) for f in found] == [
        ("load › aten::mm", 100, 1, 64),
        ("decode › layers.0.mlp › aten::mm", 100, 5, 24),
        ("decode › layers.0.mlp › forward (llama.py:7)", 30, 1, 0),
        ("decode › aten::mm", 22, 5, 0),
        ("decode › Llama", 10, 1, 0),
        ("decode › layers.0.mlp", 5, 1, 0),
        ("decode › Stray", 3, 1, 0),
    ]
    assert [f.share for f in found] == pytest.approx([f.self_ns / 320 for f in found])
    assert top_frames(tree, 2) == found[:2]
    assert [f.path for f in top_frames(tree, 2, "allocated_bytes")] == [
        "load › aten::mm",
        "decode › layers.0.mlp › aten::mm",
    ]


def test_two_functions_of_one_name_are_told_apart_by_their_place() -> None:
    other = Frame("python", "forward", "llama.py", 70)
    tree = tree_of([(-1, RUN), (0, DECODE), (1, FORWARD), (1, other)], wall_ns=[0.0, 0, 3, 4])
    assert [(f.place, f.self_ns) for f in top_frames(tree, 5)] == [("llama.py:70", 4), ("llama.py:7", 3)]


def test_a_tree_without_time_has_a_top_of_zeros() -> None:
    found = top_frames(tree_of([(-1, RUN), (0, DECODE), (1, MM)]), 5)
    assert [(f.name, f.self_ns, f.share) for f in found] == [("aten::mm", 0.0, 0.0)]
