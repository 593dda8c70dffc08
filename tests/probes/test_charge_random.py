"""Whatever the tracer reported: random trees of events, clamped and overlapping ones among them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings

from llmflame.probes.charge import WORKER, charge
from llmflame.store.observed import FrameKey
from tests.probes.made_traces import CLOSE, OPEN, Made, traces


@settings(max_examples=300)
@given(traces())
def test_conservation(made: Made) -> None:
    tree = charge(made.trace)
    walls = tree.cells.get("wall_ns", {})
    assert sum(walls.values()) == CLOSE - OPEN
    assert all(
        value > 0 for metric in ("wall_ns", "overlapped_ns") for value in tree.cells.get(metric, {}).values()
    )
    assert sum(tree.cells.get("device_ns", {}).values()) == made.device_ns
    calls: Counter[FrameKey] = Counter()
    for node, count in tree.cells.get("calls", {}).items():
        frame = tree.frames[node]
        assert frame is not None
        calls[frame] += int(count)
    assert calls == made.calls
    for metric in (
        "allocated_bytes",
        "freed_bytes",
        "device_allocated_bytes",
        "device_freed_bytes",
        "allocations",
    ):
        assert sum(tree.cells.get(metric, {}).values()) == made.bytes[metric], metric


@given(traces())
def test_other_threads_never_take_more_than_the_window_each(made: Made) -> None:
    tree = charge(made.trace)
    assert sum(tree.cells.get("overlapped_ns", {}).values()) <= 2 * (CLOSE - OPEN)


@given(traces())
def test_wall_is_below_no_worker(made: Made) -> None:
    """Neither metric is charged to the other's side of the tree."""
    tree = charge(made.trace)
    below = [False]
    for node in range(1, len(tree)):
        below.append(below[tree.parents[node]] or tree.frames[node] == WORKER)
    assert not any(below[node] for node in tree.cells.get("wall_ns", {}))


@settings(max_examples=300)
@given(traces())
def test_slices_are_the_walls_time_in_order(made: Made) -> None:
    """They cover the window without a gap, and each node has as much of them as of wall time."""
    tree = charge(made.trace)
    starts = [start for _, start in tree.slices]
    assert starts[0] == 0 and starts[-1] < CLOSE - OPEN
    assert starts == sorted(set(starts)), "none is empty"
    spent: Counter[int] = Counter()
    for (node, start), end in zip(tree.slices, [*starts[1:], CLOSE - OPEN], strict=True):
        spent[node] += end - start
    assert spent == tree.cells["wall_ns"]
    pairs = zip(tree.slices, tree.slices[1:], strict=False)
    assert all(one[0] != next_one[0] for one, next_one in pairs), "what goes on is one slice"


@given(traces())
def test_lanes_of_other_threads_lie_in_the_window_and_in_their_nodes(made: Made) -> None:
    tree = charge(made.trace)
    spent: Counter[int] = Counter()
    for lane in tree.threads:
        edges = [edge for _, start, end in lane.stays for edge in (start, end)]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= CLOSE - OPEN
        assert all(end > start for _, start, end in lane.stays)
        for node, start, end in lane.stays:
            spent[node] += end - start
    overlapped = tree.cells.get("overlapped_ns", {})
    assert all(overlapped[node] >= time for node, time in spent.items())


@given(traces())
def test_every_work_has_a_row(made: Made) -> None:
    tree = charge(made.trace)
    assert len(tree.device_work) == made.works
    assert sum(end - start for _, _, _, start, end, _ in tree.device_work) == made.device_ns
    by_node: Counter[int] = Counter()
    for node, _, _, start, end, _ in tree.device_work:
        by_node[node] += end - start
    assert by_node == Counter(tree.cells.get("device_ns", {}))
