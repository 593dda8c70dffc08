"""Hiding frames that only pass a call on changes no total."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.plumbing import is_plumbing, shown, without_plumbing
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame

FRAMES = [
    Frame("python", "forward", "models/a.py", 3),
    Frame("python", "helper", "models/a.py", 9),
    Frame("op", "aten::mm"),
    Frame("module", "Linear", module="model.layers.0.up"),
    Frame("python", "_call_impl", "torch/nn/modules/module.py", 1782),
    Frame("python", "wrapper", "transformers/utils/generic.py", 937),
]


def random_tree(seed: int, size: int) -> Tree:
    choose = random.Random(seed)
    frames = [Frame("run", "run"), Frame("phase", "decode"), *FRAMES]
    tree = Tree(frames=frames, metrics=[metrics.WALL, metrics.ALLOCATED, metrics.CALLS])
    tree.selfs = {metric.name: [] for metric in tree.metrics}
    path = [0]
    for node in range(size):
        if node < 2:
            parent, frame = node - 1, node
        else:
            del path[choose.randint(2, len(path)) :]
            parent, frame = path[-1], choose.randint(2, len(frames) - 1)
        if node:
            path.append(node)
        tree.parents.append(parent)
        tree.node_frames.append(frame)
        tree.origins.append("scaled")
        for column in tree.selfs.values():
            column.append(float(choose.randint(0, 100)))
    return tree


@given(seed=st.integers(0, 10_000), size=st.integers(1, 120))
def test_totals_are_conserved_and_order_is_kept(seed: int, size: int) -> None:
    tree = random_tree(seed, size)
    plain = without_plumbing(tree)
    for name in ("wall_ns", "allocated_bytes"):
        assert sum(plain.selfs[name]) == sum(tree.selfs[name])
        if len(tree) > 1:
            assert plain.totals(name)[:2] == tree.totals(name)[:2]
    assert all(parent < node for node, parent in enumerate(plain.parents))
    assert plain.parents[0] == -1
    siblings = [(parent, plain.node_frames[node]) for node, parent in enumerate(plain.parents)]
    # Siblings of one frame are one node, unless they are the plumbing that stays below a phase.
    assert len(set(siblings)) == len(siblings)
    for node in range(len(plain)):
        if is_plumbing(plain.frame(node)):
            assert plain.frame(plain.parents[node]).kind == "phase"


@given(seed=st.integers(0, 10_000), size=st.integers(1, 120))
def test_hiding_twice_hides_nothing_more(seed: int, size: int) -> None:
    once = without_plumbing(random_tree(seed, size))
    assert without_plumbing(once) == once


def test_frames_that_meet_are_merged_and_calls_of_the_hidden_dropped() -> None:
    tree = Tree(
        frames=[Frame("run", "run"), *FRAMES],
        parents=[-1, 0, 1, 2, 1],
        node_frames=[0, 1, 5, 3, 3],
        metrics=[metrics.WALL, metrics.CALLS],
        selfs={"wall_ns": [0, 10, 5, 7, 1], "calls": [0, 2, 2, 2, 3]},
        origins=["scaled"] * 5,
    )
    plain = without_plumbing(tree)
    assert [plain.frame(node).name for node in range(len(plain))] == ["run", "forward", "aten::mm"]
    assert plain.selfs == {"wall_ns": [0, 15, 8], "calls": [0, 2, 5]}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame("python", "_call_impl", "torch/nn/modules/module.py", 1782), True),
        (Frame("python", "inner", "torch/nn/modules/module.py", 1794), True),
        (Frame("python", "decorate_context", "torch/utils/_contextlib.py", 120), True),
        (Frame("python", "wrapper", "transformers/utils/generic.py", 1019), True),
        (Frame("builtin", "pybind11_builtins.x._get_tracing_state"), True),
        (Frame("python", "wrapper", "my_project/timing.py", 10), False),
        (Frame("python", "forward", "torch/nn/modules/module.py", 1), False),
        (Frame("python", "wrapper", None, None), False),
        (Frame("module", "wrapper", module="a"), False),
        (Frame("builtin", "isinstance"), False),
    ],
)
def test_what_is_plumbing(frame: Frame, expected: bool) -> None:
    assert is_plumbing(frame) is expected


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_every_node_is_shown_somewhere(seed: int, size: int) -> None:
    tree = random_tree(seed, size)
    left = shown(tree)
    sums = [0.0] * len(left.tree)
    for place, own in zip(left.places(), tree.selfs[metrics.WALL.name], strict=True):
        sums[place] += own
    assert sums == pytest.approx(left.tree.selfs[metrics.WALL.name])
