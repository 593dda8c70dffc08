"""A step whose host waits for the device: which times let the timeline last as long as the step did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.fitting import LEAST_PACE, LEAST_SPEED, MOST_PACE, Own, fit
from llmflame.analysis.timeline import Slice, Timeline, Work

from .timelines import lived_timelines

NEAR = 2e-3


def _step(wait_ns: float = 93.0) -> Timeline:
    """30 of Python, a launch of 4, 10 of Python, and a wait for a kernel that runs from 35 to 135."""
    slices = (Slice(1, 30.0, 0.0), Slice(2, 4.0, 0.0), Slice(1, 10.0, 0.0), Slice(3, 0.0, wait_ns, (), True))
    return Timeline(slices, (Work(100, 7, 1, 0.0, 5.0, 100.0),))


def fitted(clean_ns: float, own: list[Own | None] | None = None, **options: float) -> Timeline:
    rates = {"usual_rate": 1.0, "usual_wait_ns": 2.0} | options
    return fit(_step(), own or [None] * 4, clean_ns, **rates)


def test_a_step_that_lasted_as_long_as_it_would_is_left_alone() -> None:
    found = fitted(137.0)
    assert (found.wall_ns, found.pace) == pytest.approx((137, 1), rel=NEAR)
    assert [piece.bound_ns for piece in found.slices] == pytest.approx([0, 0, 0, 93], rel=NEAR)


def test_a_step_in_which_nothing_is_waited_for_is_left_alone() -> None:
    step = _step(wait_ns=1.0)
    assert fit(step, [None] * 4, 500.0, usual_rate=1.0, usual_wait_ns=0.0) is step
    still = Timeline(_step().slices, ())
    assert fit(still, [None] * 4, 500.0, usual_rate=1.0, usual_wait_ns=0.0) is still


def test_a_step_that_lasted_longer_had_a_slower_device() -> None:
    """40 more than the kernel of 100 explains."""
    found = fitted(177.0)
    assert (found.wall_ns, found.pace) == pytest.approx((177, 1.4), rel=NEAR)
    assert [piece.host_ns for piece in found.slices] == pytest.approx([30, 4, 10, 0])


def test_a_step_that_was_shorter_had_a_faster_host() -> None:
    """What comes before the launch is all that the host can save: 15 of 30."""
    found = fitted(122.0)
    assert (found.wall_ns, found.pace) == pytest.approx((122, 1), rel=NEAR)
    assert [piece.host_ns for piece in found.slices] == pytest.approx([15, 2, 5, 0], rel=2e-2)


def test_a_host_cannot_explain_all_and_then_the_device_was_faster() -> None:
    found = fitted(90.0)
    assert found.wall_ns == pytest.approx(90, rel=NEAR)
    assert LEAST_PACE <= found.pace < 1


def test_between_calibrated_and_usual_cost_the_cost_explains_the_step() -> None:
    """20 calibrated in the first 50 traced. At the usual 2 times 10 are left of it; the step took 15 more."""
    own = [Own(50.0, 20.0), None, None, None]
    found = fitted(132.0, own, usual_rate=2.0)
    assert (found.wall_ns, found.pace) == pytest.approx((132, 1), rel=NEAR)
    assert found.slices[0].host_ns == pytest.approx(25, rel=1e-2)


@given(lived_timelines(), st.floats(0.3, 3.0))
def test_whatever_a_step_took_its_times_stay_possible(timeline: Timeline, factor: float) -> None:
    clean = timeline.wall_ns * factor
    found = fit(timeline, [None] * len(timeline.slices), clean, usual_rate=1.0, usual_wait_ns=1.0)
    assert LEAST_PACE <= found.pace <= MOST_PACE
    assert found.works == timeline.works
    for before, after in zip(timeline.slices, found.slices, strict=True):
        assert LEAST_SPEED * before.host_ns - 1e-9 <= after.host_ns <= before.host_ns + 1e-9
        assert after.bound_ns >= 0 and (before.waits_for_all or before.waits_for or not after.bound_ns)
