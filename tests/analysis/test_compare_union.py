"""The union of two trees: nothing is lost, nothing is counted twice, moved lines are no change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.compare.changes import calls_changed, frame_changes, module_changes, ranked
from llmflame.analysis.compare.interval import Interval
from llmflame.analysis.compare.noise import Band, band_of, change_verdict
from llmflame.analysis.compare.union import union
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame, FrameKind, Metric

RUN = Frame("run", "run")
DECODE = Frame("phase", "decode")


def tree_of(rows: list[tuple[int, Frame, float]], calls: list[float] | None = None) -> Tree:
    """Nodes in pre-order: parent, frame, own wall time."""
    tree = Tree(metrics=[metrics.WALL, metrics.CALLS], selfs={"wall_ns": [], "calls": calls or []})
    for parent, frame, wall in rows:
        tree.parents.append(parent)
        tree.node_frames.append(len(tree.frames))
        tree.frames.append(frame)
        tree.origins.append("scaled")
        tree.selfs["wall_ns"].append(wall)
        if calls is None:
            tree.selfs["calls"].append(1.0)
    return tree


names = st.sampled_from("abcd")
KINDS: tuple[FrameKind, ...] = ("python", "op", "module", "kernel", "wait")
kinds = st.sampled_from(KINDS)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Whole numbers, so that sums are exact; equal siblings and shared names are common."""
    rows: list[tuple[int, Frame, float]] = [(-1, RUN, draw(st.integers(0, 10**9)))]
    path = [0]
    for number in range(1, draw(st.integers(0, 25)) + 1):
        path = path[: draw(st.integers(1, len(path)))]
        kind, name = draw(kinds), draw(names)
        module = f"model.{draw(st.integers(0, 2))}" if kind == "module" else None
        frame = DECODE if len(path) == 1 else Frame(kind, name, "x.py", draw(st.integers(1, 9)), module)
        rows.append((path[-1], frame, draw(st.integers(0, 10**9))))
        path.append(number)
    return tree_of(rows, [float(draw(st.integers(0, 3))) for _ in rows])


@given(trees(), trees())
def test_both_totals_are_kept_exactly(before: Tree, after: Tree) -> None:
    joined = union(before, after)
    for metric in ("wall_ns", "calls"):
        one, other = joined.columns(metric)
        assert sum(one) == sum(before.selfs[metric]) and sum(other) == sum(after.selfs[metric])
    assert joined.totals("wall_ns")[0][0] == sum(before.selfs["wall_ns"])
    assert all(parent < node for node, parent in enumerate(joined.tree.parents))
    assert all(any(sides) for sides in joined.sides)


@given(trees(), trees())
def test_changes_and_modules_add_up_to_both_totals(before: Tree, after: Tree) -> None:
    joined = union(before, after)
    wanted = (sum(before.selfs["wall_ns"]), sum(after.selfs["wall_ns"]))
    for found in (frame_changes(joined), module_changes(joined)):
        assert tuple(sum(one.of("wall_ns")[side] for one in found) for side in (0, 1)) == wanted


@given(trees())
def test_a_tree_beside_itself_has_no_change(tree: Tree) -> None:
    joined = union(tree, tree)
    assert joined.columns("wall_ns")[0] == joined.columns("wall_ns")[1]
    assert calls_changed(frame_changes(joined)) == []
    assert all(sides == (True, True) for sides in joined.sides)


@given(trees(), trees())
def test_every_place_of_either_is_there(before: Tree, after: Tree) -> None:
    def paths(tree: Tree) -> set[tuple[object, ...]]:
        frames = [tree.frame(node) for node in range(len(tree))]
        keys = [(frame.kind, frame.name, frame.module, frame.file) for frame in frames]
        return {tuple(keys[step] for step in tree.path(node)) for node in range(len(tree))}

    assert paths(union(before, after).tree) == paths(before) | paths(after)


def python(name: str, line: int = 1) -> Frame:
    return Frame("python", name, "x.py", line)


def test_lines_may_move() -> None:
    joined = union(
        tree_of([(-1, RUN, 0), (0, DECODE, 0), (1, python("f", 10), 5)]),
        tree_of([(-1, RUN, 0), (0, DECODE, 0), (1, python("f", 99), 7)]),
    )
    assert len(joined.tree) == 3 and joined.tree.frame(2).line == 99
    assert joined.columns("wall_ns") == ([0, 0, 5], [0, 0, 7])


def test_children_keep_their_order() -> None:
    def decode(*frames: str) -> Tree:
        return tree_of([(-1, RUN, 0), (0, DECODE, 0), *((1, python(name), 1) for name in frames)])

    joined = union(decode("a", "gone", "b", "c"), decode("a", "b", "new", "c"))
    assert [joined.tree.frame(node).name for node in range(2, len(joined.tree))] == [
        "a", "gone", "b", "new", "c",
    ]  # fmt: skip


def test_what_only_one_run_calls_holds_all_that_is_below_it() -> None:
    common = [(-1, RUN, 0.0), (0, DECODE, 0.0), (1, python("forward"), 10.0)]
    item = [(2, python("hook"), 1.0), (3, Frame("op", "aten::item"), 2.0), (4, Frame("wait", "w"), 30.0)]
    joined = union(tree_of(common), tree_of([*common, *item]))
    first = calls_changed(frame_changes(joined))[0]
    assert (first.name, first.only, first.of("wall_ns"), first.of("calls")) == ("hook", "b", (0, 33), (0, 1))


def test_another_kernel_of_one_operator_is_the_operators_change() -> None:
    def with_kernel(name: str, wall: float) -> Tree:
        rows = [(-1, RUN, 0.0), (0, DECODE, 0.0), (1, Frame("op", "aten::mm"), 1.0)]
        return tree_of([*rows, (2, Frame("kernel", name), wall)])

    joined = union(with_kernel("bf16", 10), with_kernel("f32", 40))
    (mm,) = (one for one in frame_changes(joined) if one.kind == "op")
    assert mm.of("wall_ns") == (11, 41)
    assert not [one for one in frame_changes(joined) if one.kind == "kernel"]


def test_what_the_sampler_missed_is_not_gone() -> None:
    rows = [(-1, RUN, 0.0), (0, DECODE, 0.0)]
    joined = union(tree_of([*rows, (1, python("f"), 9)], [0, 0, 0]), tree_of(rows, [0, 0]))
    assert all(one.only is None for one in frame_changes(joined))


def test_noise_is_what_the_phase_may_be_off() -> None:
    nanoseconds = Metric("wall_ns", "ns", "sum", "Wall time")
    band = Band(0.95, 1.05, 10.0)
    assert change_verdict(1_000, 1_040, nanoseconds, band) == "noise"
    assert change_verdict(1_000, 1_060, nanoseconds, band) == "slower"
    assert change_verdict(1_000, 900, nanoseconds, band) == "faster"
    assert change_verdict(1, 9, nanoseconds, band) == "noise", "too short to tell"
    assert change_verdict(0, 50, nanoseconds, band) == "slower"
    assert change_verdict(1_000, 900, nanoseconds, None) == "unknown"


def test_a_phase_that_changed_has_a_band_about_no_change() -> None:
    band = band_of(Interval(1.4, 1.6), (1_000.0, 1_500.0), (2_000.0, 2_500.0))
    assert 0.9 < band.low < 1 < band.high < 1.1 and band.least_ns == 15
    unchanged = band_of(Interval(0.8, 1.1), (1_000.0, 900.0), (2_000.0, 2_000.0))
    assert unchanged.low == 0.8 and unchanged.high > 1.2


def test_what_is_known_to_have_changed_comes_first() -> None:
    rows = [(-1, RUN, 0.0), (0, DECODE, 0.0), (1, python("large"), 1e9), (1, python("small"), 1e7)]
    after = [*rows[:2], (1, python("large"), 1.03e9), (1, python("small"), 3e7)]
    found = ranked(frame_changes(union(tree_of(rows), tree_of(after))), metrics.WALL,
                   {"decode": Band(0.95, 1.05, 1e6)})  # fmt: skip
    assert [(one.change.name, one.verdict) for one in found] == [("small", "slower"), ("large", "noise")]
