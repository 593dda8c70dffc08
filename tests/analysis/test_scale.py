"""From traced to undisturbed time: what is measured stays measured, only the division is estimated."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmflame.analysis.anchoring import Anchors, Segment
from llmflame.analysis.scale import (
    EventCosts,
    TracedNode,
    scale_window,
    segments,
    step_weights,
    tracing_costs,
)
from llmflame.store.model import FrameKind

FREE = EventCosts({}, {})
COSTS = EventCosts({"python": 2.0, "builtin": 1.0, "op": 3.0}, {"python": 5.0, "op": 7.0, "allocation": 11.0})


def node(
    parent: int,
    self_ns: float,
    *,
    kind: FrameKind = "python",
    module: str | None = None,
    calls: float = 1,
    allocations: float = 0,
) -> TracedNode:
    return TracedNode(parent, kind, module, self_ns, calls, allocations)


def anchors(shares: dict[Segment, float], cpu: dict[Segment, float] | None = None) -> Anchors:
    return Anchors(shares, cpu or {}, 3)


# --- what tracing cost -----------------------------------------------------------------------------------


def test_a_cost_falls_inside_the_event_and_on_its_caller() -> None:
    nodes = [
        node(-1, 0, kind="phase", calls=0),
        node(0, 0, kind="python", calls=10),
        node(1, 0, kind="op", calls=4, allocations=3),
        node(1, 0, kind="builtin", calls=6),
        node(2, 0, kind="kernel", calls=9),
        node(0, 0, kind="module", calls=1, module="m"),
    ]
    assert tracing_costs(nodes, COSTS) == [
        10 * 5 + 1 * 5,
        10 * 2 + 4 * 7,
        4 * 3 + 3 * 11,
        6 * 1,
        0,
        1 * 2,
    ]


def test_unknown_costs_are_none() -> None:
    assert tracing_costs([node(-1, 5, calls=3, allocations=2)], FREE) == [0.0]


def test_a_segment_is_the_nearest_module_above() -> None:
    nodes = [
        node(-1, 0, kind="phase"),
        node(0, 0),
        node(1, 0, kind="module", module=""),
        node(2, 0),
        node(3, 0, kind="module", module="a.b"),
        node(4, 0, kind="op"),
        node(4, 0, kind="module", module=None),
        node(6, 0),
        node(0, 0, kind="python", module="not a module's frame"),
    ]
    assert segments(nodes) == [None, None, "", "", "a.b", "a.b", "a.b", "a.b", None]


# --- one window ------------------------------------------------------------------------------------------


def test_without_anchors_shares_are_those_of_the_calibrated_time() -> None:
    nodes = [
        node(-1, 200, kind="module", module="a", calls=10),  # costs 10 * 2 inside, 20 * 7 outside of the ops
        node(0, 340, kind="op", calls=20),  # 20 * 3
        node(-1, 120, kind="module", module="b", calls=10),  # 10 * 2
    ]
    scaled = scale_window(nodes, 1000.0, COSTS, None)
    assert sum(scaled.shares) == pytest.approx(1, abs=1e-12)
    a, b = 200 + 340 - 20 - 140 - 60, 120 - 20
    assert scaled.shares[0] + scaled.shares[1] == pytest.approx(a / (a + b), abs=1e-12)
    assert scaled.shares[2] == pytest.approx(b / (a + b), abs=1e-12)
    assert scaled.cpu_shares == [1.0, 1.0, 1.0]
    assert scaled.slowdown == pytest.approx(660 / 1000)
    assert scaled.factor == pytest.approx((a + b) / 1000)


def test_the_excess_is_taken_by_cost_and_the_rest_is_exact() -> None:
    """A window that took just its calibrated cost longer: every node gets its own time less its own cost."""
    nodes = [
        node(-1, 300, kind="module", module="a", calls=10),
        node(0, 700, kind="op", calls=20),
    ]
    added = [10 * 2 + 20 * 7, 20 * 3]
    clean = 1000.0 - sum(added)
    scaled = scale_window(nodes, clean, COSTS, anchors({"a": 1.0}))
    assert [share * clean for share in scaled.shares] == pytest.approx([300 - added[0], 700 - added[1]])
    assert scaled.factor == pytest.approx(1.0)


def test_an_anchored_segment_gets_its_share_exactly() -> None:
    nodes = [
        node(-1, 50, kind="phase", calls=0),
        node(0, 100, kind="module", module="a"),
        node(1, 400, kind="op"),
        node(0, 900, kind="module", module="b", calls=100),
        node(3, 50, kind="module", module="b.c"),
    ]
    wanted: dict[Segment, float] = {None: 0.1, "a": 0.6, "b": 0.25, "b.c": 0.05}
    scaled = scale_window(nodes, 1000.0, COSTS, anchors(wanted, {"a": 0.5, None: 0.25}))
    got: dict[Segment, float] = defaultdict(float)
    for owner, share in zip(segments(nodes), scaled.shares, strict=True):
        got[owner] += share
    assert dict(got) == pytest.approx(wanted, abs=1e-12)
    assert scaled.cpu_shares == [0.25, 0.5, 0.5, 1.0, 1.0]


def test_a_segment_without_an_anchor_gets_its_calibrated_time_at_the_anchored_ones_rate() -> None:
    nodes = [
        node(-1, 100, kind="module", module="a", calls=0),
        node(-1, 300, kind="module", module="b", calls=0),
        node(-1, 200, kind="module", module="unknown", calls=0),
    ]
    # a and b are anchored at twice their traced time: so unknown gets 400 of 400 + 800.
    scaled = scale_window(nodes, 800.0, FREE, anchors({"a": 0.5, "b": 0.5}))
    assert scaled.shares == pytest.approx([400 / 1200, 400 / 1200, 400 / 1200])


@pytest.mark.parametrize("given_anchors", [None, anchors({"m": 1.0})])
def test_many_cheap_events_are_reduced_more_than_one_long_frame(given_anchors: Anchors | None) -> None:
    """Both traced for 1 ms in the same module; one of them is a thousand calls, the other is one."""
    nodes = [
        node(-1, 1_001_000, kind="module", module="m", calls=0),
        node(0, 1_000_000, kind="op", calls=1),
        node(0, 1_000_000, kind="op", calls=1000),
    ]
    costs = EventCosts({"op": 400.0}, {"op": 1000.0})
    clean = 1_599_600.0  # what is left when each event's calibrated cost is taken
    shares = scale_window(nodes, clean, costs, given_anchors).shares
    expected = [0, 999_600, 600_000] if given_anchors else None
    if expected:
        assert [share * clean for share in shares] == pytest.approx(expected)
    assert shares[2] == pytest.approx(shares[1] * 600_000 / 999_600)


def test_an_excess_beyond_any_tracing_cost_is_shared_by_time() -> None:
    """The machine was disturbed: cheap calls aren't wiped out for it."""
    nodes = [
        node(-1, 1000, kind="module", module="m", calls=0),
        node(0, 1000, kind="op", calls=10),
    ]
    costs = EventCosts({"op": 1.0}, {})
    shares = scale_window(nodes, 200.0, costs, anchors({"m": 1.0})).shares
    # At most 8 times the calibrated 10 ns are taken from the operator.
    assert shares == pytest.approx([1000 / 1920, 920 / 1920])


@pytest.mark.parametrize("given_anchors", [None, anchors({"a": 1.0})])
def test_an_empty_window_has_no_shares(given_anchors: Anchors | None) -> None:
    assert scale_window([], 100.0, COSTS, given_anchors).shares == []
    scaled = scale_window([node(-1, 0, calls=0)], 100.0, COSTS, given_anchors)
    assert scaled.shares == [0.0]


def test_a_clean_step_of_no_time_is_no_division_by_zero() -> None:
    scaled = scale_window([node(-1, 10)], 0.0, FREE, None)
    assert (scaled.factor, scaled.slowdown) == (1.0, 1.0)


KINDS: tuple[FrameKind, ...] = ("python", "module", "op", "builtin", "other")


@st.composite
def windows(draw: st.DrawFn) -> list[TracedNode]:
    nodes: list[TracedNode] = [node(-1, draw(st.integers(0, 1000)), kind="phase", calls=0)]
    for _ in range(draw(st.integers(0, 15))):
        kind = draw(st.sampled_from(KINDS))
        path = draw(st.sampled_from(["", "a", "a.b", "c"])) if kind == "module" else None
        nodes.append(
            node(
                draw(st.integers(0, len(nodes) - 1)),
                draw(st.integers(0, 100_000)),
                kind=kind,
                module=path,
                calls=draw(st.integers(0, 50)),
                allocations=draw(st.integers(0, 5)),
            )
        )
    return nodes


SHARES = st.dictionaries(
    st.sampled_from([None, "", "a", "a.b", "c"]), st.floats(0.01, 1), min_size=1, max_size=5
)


def _normal(shares: dict[Segment, float]) -> Anchors:
    whole = sum(shares.values())
    return anchors({segment: share / whole for segment, share in shares.items()})


@given(windows(), st.floats(1, 1e6), SHARES | st.none())
def test_shares_add_up_to_one(
    nodes: list[TracedNode], clean_ns: float, shares: dict[Segment, float] | None
) -> None:
    added = tracing_costs(nodes, COSTS)
    # Time that is nothing but calibrated cost is a case of its own.
    assume(shares is not None or sum(n.self_ns for n in nodes) > sum(added))
    scaled = scale_window(nodes, clean_ns, COSTS, _normal(shares) if shares else None)
    assert len(scaled.shares) == len(scaled.cpu_shares) == len(nodes)
    assert all(0 <= share <= 1 for share in scaled.shares)
    whole = sum(scaled.shares)
    assert abs(whole - 1) <= 1e-9 or (whole == 0 and not any(scaled.shares))


@given(windows(), SHARES, st.floats(1, 1e6))
def test_anchored_segments_keep_the_ratio_of_their_shares(
    nodes: list[TracedNode], shares: dict[Segment, float], clean_ns: float
) -> None:
    scaled = scale_window(nodes, clean_ns, COSTS, _normal(shares))
    owners = segments(nodes)
    got: dict[Segment, float] = defaultdict(float)
    traced: dict[Segment, float] = defaultdict(float)
    for owner, share, member in zip(owners, scaled.shares, nodes, strict=True):
        got[owner] += share
        traced[owner] += member.self_ns
    known = [owner for owner in shares if traced.get(owner, 0) > 0]
    for one in known:
        for other in known:
            assert got[one] * shares[other] == pytest.approx(got[other] * shares[one], rel=1e-9)


@given(windows(), st.floats(1, 1e6), st.integers(0, 15), st.floats(1, 1e5))
def test_more_own_time_never_means_a_smaller_share(
    nodes: list[TracedNode], clean_ns: float, which: int, more: float
) -> None:
    number = which % len(nodes)
    shares: dict[Segment, float] = dict.fromkeys([None, "", "a", "a.b", "c"], 0.2)
    before = scale_window(nodes, clean_ns, FREE, anchors(shares)).shares[number]
    grown = list(nodes)
    old = nodes[number]
    grown[number] = TracedNode(
        old.parent, old.kind, old.module, old.self_ns + more, old.calls, old.allocations
    )
    after = scale_window(grown, clean_ns, FREE, anchors(shares)).shares[number]
    assert after >= before * (1 - 1e-9)


@given(windows(), st.floats(1, 1e6))
def test_more_calls_never_mean_a_larger_share(nodes: list[TracedNode], clean_ns: float) -> None:
    """Of two operators in one module with the same traced time, the one with more calls gets no more."""
    few, many = node(0, 5000, kind="op", calls=3), node(0, 5000, kind="op", calls=30)
    shares = scale_window([*nodes, few, many], clean_ns, COSTS, anchors({None: 1.0})).shares
    assert shares[-1] <= shares[-2]


# --- from windows to all steps ---------------------------------------------------------------------------


def test_steps_between_windows_belong_to_both() -> None:
    weights = step_weights([1, 8], {1: 10.0, 2: 70.0, 8: 20.0, 9: 30.0})
    assert weights[0] == pytest.approx((10 + 70 * 6 / 7, 1 + 6 / 7))
    assert weights[1] == pytest.approx((70 / 7 + 20 + 30, 1 / 7 + 2))
    assert len(weights) == 2


def test_steps_before_the_first_window_are_its_own() -> None:
    assert step_weights([8], {1: 1.0, 2: 2.0, 8: 3.0, 100: 4.0}) == [(10.0, 4.0)]


def test_no_steps_weigh_nothing() -> None:
    assert step_weights([1, 8], {}) == [(0.0, 0.0), (0.0, 0.0)]


def test_no_windows_and_no_steps() -> None:
    assert step_weights([], {}) == []


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=8),
    st.dictionaries(st.integers(1, 600), st.floats(0, 1e9), max_size=60),
)
def test_weights_add_up_to_all_steps(windows: list[int], steps: dict[int, float]) -> None:
    weights = step_weights(sorted(windows), steps)
    assert len(weights) == len(windows)
    assert all(time >= 0 and count >= 0 for time, count in weights)
    assert math.fsum(time for time, _ in weights) == pytest.approx(math.fsum(steps.values()), rel=1e-9)
    assert math.fsum(count for _, count in weights) == pytest.approx(len(steps), rel=1e-9)


@given(st.sets(st.integers(1, 500), min_size=1, max_size=8), st.floats(1, 1e9), st.integers(1, 500))
def test_a_traced_step_speaks_for_itself(windows: set[int], wall_ns: float, step: int) -> None:
    ordered = sorted(windows)
    weights = step_weights(ordered, {step: wall_ns})
    if step in windows:
        assert weights[ordered.index(step)] == (wall_ns, 1.0)
    assert sum(1 for _, count in weights if count) <= 2


def test_a_window_that_cost_more_than_it_saw_keeps_the_shares_that_it_saw() -> None:
    nodes = [TracedNode(-1, "python", None, 100, 1000, 0), TracedNode(0, "python", None, 300, 1000, 0)]
    scaled = scale_window(nodes, 50.0, EventCosts({"python": 1.0}, {"python": 1.0}), None)
    assert sum(scaled.shares) == pytest.approx(1)


def test_without_windows_nothing_speaks_for_a_step() -> None:
    assert step_weights([], {1: 1.0}) == []
