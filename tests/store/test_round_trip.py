"""What a writer was given is what a reader returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from llmflame.store import metrics
from llmflame.store.model import Fact, Frame
from llmflame.store.observed import FrameKey, ObservedTree
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import (
    AnchorRow,
    GaugeRow,
    PassRow,
    ProbeReportRow,
    Row,
    SpanRow,
    WindowRow,
)
from llmflame.store.writer import Scalar

from . import written
from .written import new_path, open_writer


def _stored(rows: Sequence[Row]) -> Profile:
    with new_path() as path:
        writer = open_writer(path)
        writer.rows(rows)
        writer.finish("complete")
        return read_profile(path)


@given(st.lists(written.PASSES, max_size=8, unique_by=lambda row: row.name))
def test_passes(rows: list[PassRow]) -> None:
    found = _stored(rows).passes
    assert {row.name: row for row in found} == {row.name: row for row in rows}
    assert len(found) == len(rows)
    starts = [-1 if row.start_ns is None else row.start_ns for row in found]
    assert starts == sorted(starts)


def test_a_pass_row_replaces_the_one_of_its_name() -> None:
    running = PassRow("clean", "recording", None, 7, 0, None, None)
    ended = dataclasses.replace(running, status="complete", wall_ns=9)
    assert _stored([running, ended]).passes == (ended,)


@given(st.lists(written.REPORTS, max_size=8))
def test_probe_reports_keep_their_order(rows: list[ProbeReportRow]) -> None:
    assert list(_stored(rows).probe_reports) == rows


@given(st.lists(written.SPANS, max_size=8, unique_by=lambda row: (row.pass_name, row.id)))
def test_spans_are_ordered_by_start(rows: list[SpanRow]) -> None:
    assert list(_stored(rows).spans) == sorted(rows, key=lambda r: (r.pass_name, r.start_ns, r.id))


@given(st.lists(written.WINDOWS, max_size=8, unique_by=lambda row: row.id))
def test_windows_without_trees(rows: list[WindowRow]) -> None:
    assert list(_stored(rows).windows) == sorted(rows, key=lambda row: row.id)


@given(
    st.lists(written.ANCHORS, max_size=8, unique_by=lambda r: (r.pass_name, r.repetition, r.step, r.module))
)
def test_anchors(rows: list[AnchorRow]) -> None:
    found = _stored(rows).anchors
    assert sorted(found, key=dataclasses.astuple) == sorted(rows, key=dataclasses.astuple)


@given(st.lists(written.GAUGES, max_size=8))
def test_gauges_keep_their_order(rows: list[GaugeRow]) -> None:
    assert list(_stored(rows).gauges) == rows


@given(st.lists(written.FACTS, max_size=8))
def test_facts(facts: list[Fact]) -> None:
    with new_path() as path:
        writer = open_writer(path)
        writer.facts(facts)
        writer.finish("complete")
        assert list(read_profile(path).machine) == facts


_VALUES = st.none() | written.TEXT | written.INTEGERS | written.FLOATS


@given(st.dictionaries(written.TEXT, _VALUES, max_size=6), st.dictionaries(written.TEXT, _VALUES, max_size=6))
def test_a_subject_is_amended(first: dict[str, Scalar], second: dict[str, Scalar]) -> None:
    with new_path() as path:
        writer = open_writer(path)
        writer.subject(first)
        writer.subject(second)
        writer.finish("complete")
        assert read_profile(path).subject == first | second


def test_the_run_says_how_it_was_made_and_ended() -> None:
    with new_path() as path:
        open_writer(path).finish("failed", "the GPU fell off")
        profile = read_profile(path)
    run = profile.run
    assert (run.llmflame_version, run.mode) == ("1.2.3", "processes")
    assert (run.status, run.reason) == ("failed", "the GPU fell off")
    assert run.ended_at is not None and run.started_at <= run.ended_at
    assert profile.path == path


def test_metrics_travel_in_the_file() -> None:
    assert _stored([]).metrics == {metrics.ID[metric.name]: metric for metric in metrics.ALL}


Paths = dict[tuple[int, str, tuple[FrameKey, ...]], float]


def read_paths(profile: Profile) -> Paths:
    """Every cell of the file under its window, metric and path, the phase's own node first."""
    found: Paths = {}
    for cell in profile.cells:
        path: list[FrameKey] = []
        number: int | None = cell.node
        while number is not None:
            node = profile.nodes[number]
            frame = profile.frames[node.frame]
            path.append((frame.kind, frame.name, frame.file, frame.line, frame.module))
            number = node.parent
        key = (cell.window, profile.metrics[cell.metric].name, tuple(reversed(path)))
        assert key not in found
        found[key] = cell.value
    return found


def _expected(windows: list[tuple[WindowRow, ObservedTree]]) -> Paths:
    return {
        (row.id, metric, (("phase", row.span_name, None, None, None), *path)): value
        for row, tree in windows
        for (metric, path), value in written.cells_by_path(tree).items()
    }


@given(
    st.lists(st.tuples(written.observed_trees(), st.sampled_from(["load", "prefill", "decode"])), max_size=4)
)
def test_trees(trees: list[tuple[ObservedTree, str]]) -> None:
    windows = [(written.window(n, name), tree) for n, (tree, name) in enumerate(trees, start=1)]
    with new_path() as path:
        writer = open_writer(path)
        for row, tree in windows:
            writer.tree(row, tree)
        writer.finish("complete")
        profile = read_profile(path)
    assert read_paths(profile) == _expected(windows)
    assert list(profile.windows) == [row for row, _ in windows]
    # One trie: no two nodes are the same frame under the same parent, parents come first.
    places = [(node.parent, profile.frames[node.frame]) for node in profile.nodes.values()]
    assert len(set(places)) == len(places)
    assert all(node.parent is None or node.parent < node.id for node in profile.nodes.values())
    assert len(set(profile.frames.values())) == len(profile.frames)


@given(written.observed_trees())
def test_a_tree_survives_the_wire(tree: ObservedTree) -> None:
    again = ObservedTree.from_wire(tree.to_wire())
    assert (again.parents, again.frames, again.cells) == (tree.parents, tree.frames, tree.cells)
    assert (again.slices, again.device_work) == (tree.slices, tree.device_work)
    frame = written.frame_key("new")
    assert again.child(0, frame) == tree.child(0, frame), "the trie goes on where it was"


def _write_tree(tree: ObservedTree) -> tuple[Profile, Paths]:
    with new_path() as path:
        writer = open_writer(path)
        writer.tree(written.window(), tree)
        writer.finish("complete")
        profile = read_profile(path)
    return profile, read_paths(profile) if len(tree) < 100 else {}


def test_a_tree_of_2000_levels() -> None:
    tree = ObservedTree()
    deepest = tree.descend(0, [written.frame_key(f"f{level}") for level in range(2000)])
    tree.add(deepest, "wall_ns", 17)
    profile, _ = _write_tree(tree)
    (cell,) = profile.cells
    names = []
    number: int | None = cell.node
    while number is not None:
        names.append(profile.frames[profile.nodes[number].frame].name)
        number = profile.nodes[number].parent
    assert names[::-1] == ["decode", *(f"f{level}" for level in range(2000))]
    assert cell.value == 17


def test_a_recursion_is_one_frame_at_many_depths() -> None:
    tree = ObservedTree()
    frame = written.frame_key("again")
    node = 0
    for level in range(50):
        node = tree.child(node, frame)
        tree.add(node, "calls", level + 1)
    profile, paths = _write_tree(tree)
    assert Frame("python", "again", "x.py", 1) in profile.frames.values() and len(profile.frames) == 2
    assert [value for _, value in sorted(paths.items(), key=lambda item: len(item[0][2]))] == [*range(1, 51)]


def test_a_wide_tree() -> None:
    tree = ObservedTree()
    for number in range(5000):
        tree.add(tree.child(0, written.frame_key(f"f{number}")), "wall_ns", number + 1)
    profile, _ = _write_tree(tree)
    values = {profile.frames[profile.nodes[c.node].frame].name: c.value for c in profile.cells}
    assert values == {f"f{number}": number + 1 for number in range(5000)}


def test_windows_share_nodes_but_not_numbers() -> None:
    trees = [ObservedTree(), ObservedTree()]
    for tree, value in zip(trees, (3, 4), strict=True):
        shared = tree.descend(0, [written.frame_key("a"), written.frame_key("b")])
        tree.add(shared, "wall_ns", value)
    trees[1].add(trees[1].child(0, written.frame_key("c")), "wall_ns", 5)
    with new_path() as path:
        writer = open_writer(path)
        writer.tree(written.window(1), trees[0])
        writer.tree(written.window(2), trees[1])
        writer.tree(written.window(3, "prefill"), trees[0])
        writer.finish("complete")
        profile = read_profile(path)
    # decode, a, b; c in the second window; prefill, a, b in the third: its phase is another node
    assert len(profile.nodes) == 7
    assert len(profile.frames) == 5
    by_window = {(c.window, c.node): c.value for c in profile.cells}
    assert by_window == {(1, 3): 3, (2, 3): 4, (2, 4): 5, (3, 7): 3}


def test_what_is_added_to_one_node_adds_up_and_zeros_are_not_stored() -> None:
    tree = ObservedTree()
    node = tree.child(0, written.frame_key("a"))
    for value in (1, 2.5, 3.5):
        tree.add(node, "wall_ns", value)
    tree.add(node, "calls", 0)
    tree.add(0, "wall_ns", 9)
    _, paths = _write_tree(tree)
    phase = ("phase", "decode", None, None, None)
    assert paths == {
        (1, "wall_ns", (phase, written.frame_key("a"))): 7,
        (1, "wall_ns", (phase,)): 9,
    }


def test_a_tree_that_fails_half_way_leaves_the_trie_as_it_was() -> None:
    good, bad = ObservedTree(), ObservedTree()
    good.add(good.child(0, written.frame_key("good")), "wall_ns", 1)
    bad.add(bad.child(0, written.frame_key("bad")), "no such metric", 1)
    with new_path() as path:
        writer = open_writer(path)
        try:
            writer.tree(written.window(1), bad)
        except KeyError:
            pass
        else:
            raise AssertionError("an unknown metric was stored")
        writer.tree(written.window(2), good)
        writer.finish("complete")
        profile = read_profile(path)
    assert [row.id for row in profile.windows] == [2]
    assert {frame.name for frame in profile.frames.values()} == {"decode", "good"}
    assert list(profile.nodes) == [1, 2]
