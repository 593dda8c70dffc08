"""Scaling a traced window in which the host waits for a device: tracing lengthens the rest, not the waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.anchoring import Anchors
from llmflame.analysis.scale import EventCosts, TracedNode, scale_window
from llmflame.store.model import FrameKind

NO_COSTS = EventCosts({}, {})


def node(
    parent: int, self_ns: float, bound_ns: float = 0.0, *, kind: FrameKind = "python", calls: float = 0.0,
    module: str | None = None,
) -> TracedNode:  # fmt: skip
    return TracedNode(parent, kind, module, self_ns, calls, 0.0, bound_ns)


def test_a_wait_takes_what_the_host_leaves() -> None:
    """Traced: 60 of Python and a wait of 40. Tracing cost 30 of the 60, the step takes 90 undisturbed: the
    host came 30 sooner and waited until 90, that is for 60."""
    nodes = [node(-1, 60.0, calls=30.0), node(0, 40.0, 40.0, kind="wait")]
    scaled = scale_window(nodes, 90.0, EventCosts({"python": 1.0}, {}), None)
    assert [share * 90 for share in scaled.shares] == pytest.approx([30, 60])
    assert [share * 90 for share in scaled.bound_shares] == pytest.approx([0, 60])


def test_a_host_that_was_never_ahead_keeps_its_proportions() -> None:
    """Nothing is left to wait for: what the wait took is the cost of asking."""
    nodes = [node(-1, 60.0), node(0, 20.0, 20.0, kind="wait")]
    scaled = scale_window(nodes, 40.0, NO_COSTS, None)
    assert [share * 40 for share in scaled.shares] == pytest.approx([30, 10])
    assert [share * 40 for share in scaled.bound_shares] == pytest.approx([0, 10])


def test_waits_divide_the_rest_as_they_were_traced() -> None:
    """A call that waits for part of its time, and two waits: 100 are left for what waited 50 in the trace."""
    nodes = [node(-1, 30.0, 10.0), node(0, 10.0, 10.0, kind="wait"), node(0, 30.0, 30.0, kind="wait")]
    scaled = scale_window(nodes, 120.0, NO_COSTS, None)
    assert [share * 120 for share in scaled.bound_shares] == pytest.approx([20, 20, 60])
    assert [share * 120 for share in scaled.shares] == pytest.approx([40, 20, 60])


def test_a_waiting_module_pays_for_events_what_the_others_paid() -> None:
    """The module `a` waits for nothing: its 100 events of 1 made 300 of 100. The same price is taken from
    the 50 events outside: 250 less 150 is 100, and the wait gets the rest of 300."""
    nodes = [
        node(-1, 250.0, calls=50.0),
        node(0, 300.0, kind="module", module="a", calls=100.0),
        node(0, 50.0, 50.0, kind="wait"),
    ]
    anchors = Anchors({None: 0.75, "a": 0.25}, {}, 1)
    scaled = scale_window(nodes, 400.0, EventCosts({"python": 1.0}, {}), anchors)
    assert [share * 400 for share in scaled.shares] == pytest.approx([150, 100, 150])
    assert [share * 400 for share in scaled.bound_shares] == pytest.approx([0, 0, 150])


@st.composite
def windows(draw: st.DrawFn) -> list[TracedNode]:
    """Trees of modules, functions and waits."""
    nodes = []
    for number in range(draw(st.integers(1, 12))):
        parent = draw(st.integers(-1, number - 1))
        own = float(draw(st.integers(0, 1000)))
        kind: FrameKind = draw(st.sampled_from(["python", "module", "op", "runtime", "wait"]))
        module = draw(st.sampled_from(["a", "b"])) if kind == "module" else None
        bound = own if kind == "wait" else float(draw(st.integers(0, int(own)))) if kind == "runtime" else 0.0
        nodes.append(node(parent, own, bound, kind=kind, calls=float(draw(st.integers(0, 5))), module=module))
    return nodes


@given(
    windows(),
    st.floats(1.0, 5000.0),
    st.floats(0.0, 50.0),
    st.one_of(st.none(), st.just(Anchors({None: 0.2, "a": 0.5, "b": 0.3}, {}, 1))),
)
def test_shares_add_up_and_no_time_is_negative(
    nodes: list[TracedNode], clean_ns: float, cost_ns: float, anchors: Anchors | None
) -> None:
    costs = EventCosts({"python": cost_ns, "op": cost_ns}, {"python": cost_ns})
    scaled = scale_window(nodes, clean_ns, costs, anchors)
    whole = sum(scaled.shares)
    assert whole == pytest.approx(1.0) or whole == 0.0
    for one, share, bound in zip(nodes, scaled.shares, scaled.bound_shares, strict=True):
        assert 0.0 <= bound <= share + 1e-12
        assert one.bound_ns or not bound, "only what waited in the trace waits undisturbed"
        assert not (one.kind == "wait" and share) or bound == pytest.approx(share)
