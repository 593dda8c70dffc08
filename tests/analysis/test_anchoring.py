"""What share of a step each module takes, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.anchoring import NEAREST, Anchors, anchors_for, hook_cost_ns
from llmflame.store.profile import Profile
from llmflame.store.rows import ProbeReportRow, Row, SpanRow

from .small import anchor, span, stored


def _step(step: int, wall_ns: int, number: int, repetition: int = 0, cpu_ns: int | None = None) -> SpanRow:
    return span(
        "step",
        wall_ns,
        number,
        pass_name="anatomy",
        treatment="anchored",
        repetition=repetition,
        step=step,
        thread_cpu_ns=cpu_ns,
    )


def anchors_near(profile: Profile, step: int, clean_ns: float = 1000.0) -> Anchors | None:
    return anchors_for(profile, step, clean_ns)


def _hook_cost(ns: float) -> ProbeReportRow:
    return ProbeReportRow("anatomy", "anchors", "hook cost", ns, "ns")


def test_a_profile_without_anchors_has_none() -> None:
    profile = stored()
    assert anchors_near(profile, 0) is None and anchors_near(profile, 5) is None
    assert hook_cost_ns(profile) == 0.0


def test_shares_are_of_the_step_and_the_rest_is_outside() -> None:
    profile = stored(
        [_step(3, 1000, 1, cpu_ns=700), anchor("", 3, 100, cpu_ns=50), anchor("a", 3, 600, cpu_ns=600)]
    )
    found = anchors_near(profile, 3)
    assert found is not None and found.samples == 1
    assert found.shares == pytest.approx({"": 0.1, "a": 0.6, None: 0.3})
    # 700 ns of CPU in the step, 650 of them in modules: 50 of the 300 outside
    assert found.cpu_shares == pytest.approx({"": 0.5, "a": 1.0, None: 50 / 300})


def test_the_hooks_own_cost_is_taken_from_the_caller() -> None:
    profile = stored(
        [_hook_cost(10), _step(1, 1000, 1), anchor("", 1, 300, children=20), anchor("a", 1, 400, children=0)]
    )
    found = anchors_near(profile, 1)
    assert found is not None
    # own: 300 - 20 * 10; 400; outside 300 less the root's own hook
    assert found.shares == pytest.approx({"": 100 / 790, "a": 400 / 790, None: 290 / 790})


@pytest.mark.parametrize(
    ("clean_ns", "cost"),
    [
        (1000, 10),  # no slower than undisturbed: what was calibrated
        (2000, 10),
        (955, 15),  # 45 ns more for three hooked calls
        (940, 20),
        (100, 30),  # three times the calibration at most
    ],
)
def test_hooks_cost_what_anchored_steps_took_more(clean_ns: float, cost: float) -> None:
    rows: list[Row] = [_hook_cost(10), _step(1, 1000, 1)]
    rows += [anchor("", 1, 300, children=2), anchor("a", 1, 400), anchor("b", 1, 100)]
    found = anchors_near(stored(rows), 1, clean_ns)
    assert found is not None
    own = {"": 300 - 2 * cost, "a": 400.0, "b": 100.0, None: 200 - cost}
    whole = sum(own.values())
    assert found.shares == pytest.approx({segment: ns / whole for segment, ns in own.items()})


def test_a_cost_larger_than_the_time_leaves_nothing() -> None:
    profile = stored(
        [_hook_cost(1000), _step(1, 500, 1), anchor("", 1, 100, children=5), anchor("a", 1, 300)]
    )
    found = anchors_near(profile, 1)
    assert found is not None
    assert found.shares == {"": 0.0, "a": 1.0, None: 0.0}


def _decode_steps(*walls: tuple[int, int]) -> list[Row]:
    """Steps of 1000 ns of which module `a` takes so much."""
    rows: list[Row] = []
    for number, (step, own) in enumerate(walls, start=1):
        rows += [_step(step, 1000, number), anchor("a", step, own)]
    return rows


@pytest.mark.parametrize(
    ("step", "share", "samples"),
    [
        (1, 0.2, 2),  # steps 2 and 4
        (8, 0.4, 4),  # 2, 4, 16, 32
        (20, 0.5, 2),  # 16 and 32; 80 is the edge of 20 * 4, 5 of 20 / 4
        (32, 0.5, 2),
        (1000, 0.4, 4),  # none is near: all speak for it
    ],
)
def test_near_steps_speak_for_a_window(step: int, share: float, samples: int) -> None:
    profile = stored(_decode_steps((2, 100), (4, 300), (16, 500), (32, 500)))
    found = anchors_near(profile, step)
    assert found is not None
    assert found.samples == samples
    assert found.shares["a"] == pytest.approx(share)


def test_prefill_speaks_for_prefill_alone() -> None:
    profile = stored(_decode_steps((0, 900), (1, 100)))
    prefill, decode = anchors_near(profile, 0), anchors_near(profile, 1)
    assert prefill is not None and decode is not None
    assert prefill.shares["a"] == pytest.approx(0.9)
    assert decode.shares["a"] == pytest.approx(0.1)
    assert anchors_near(stored(_decode_steps((1, 100))), 0) is None
    assert anchors_near(stored(_decode_steps((0, 100))), 1) is None


def test_the_median_of_three_requests() -> None:
    rows: list[Row] = []
    for repetition, own in enumerate((100, 300, 800)):
        rows += [_step(1, 1000, repetition + 1, repetition), anchor("a", 1, own, repetition=repetition)]
    found = anchors_near(stored(rows), 1)
    assert found is not None and found.samples == 3
    assert found.shares == pytest.approx({"a": 0.3, None: 0.7})


def test_the_steps_nearest_to_the_undisturbed_time_speak() -> None:
    """Nine steps, the slower the more of it in `a`: five are asked, those around what was timed clean."""
    rows: list[Row] = []
    for number in range(1, 10):
        rows += [
            _step(2, number * 1000, number, number),
            anchor("a", 2, number * number * 100, repetition=number),
        ]
    profile = stored(rows)
    for clean, middle in ((0, 3), (5100, 5), (6900, 7), (1e9, 7)):
        found = anchors_near(profile, 2, clean)
        assert found is not None and found.samples == NEAREST
        assert found.shares == pytest.approx({"a": middle / 10, None: 1 - middle / 10})


def test_steps_that_were_not_anchored_do_not_count() -> None:
    rows: list[Row] = [anchor("a", 1, 100), span("step", 1000, 1, pass_name="anatomy", repetition=0, step=1)]
    assert anchors_near(stored(rows), 1) is None


def test_a_step_of_no_time_is_no_sample() -> None:
    assert anchors_near(stored([_step(1, 0, 1), anchor("a", 1, 0)]), 1) is None


def _random_profile(steps: list[dict[str, int]], outside: int, cost: float) -> Profile:
    rows: list[Row] = [_hook_cost(cost)]
    for number, members in enumerate(steps, start=1):
        rows.append(_step(number, sum(members.values()) + outside, number, cpu_ns=outside))
        rows += [anchor(name, number, own, children=2, cpu_ns=own // 2) for name, own in members.items()]
    return stored(rows)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["", "a", "a.b"]), st.integers(0, 10**6)), min_size=1, max_size=4
    ),
    st.integers(1, 1000),
    st.floats(0, 1000),
    st.integers(1, 8),
)
def test_shares_add_up_to_one(steps: list[dict[str, int]], outside: int, cost: float, step: int) -> None:
    found = anchors_near(_random_profile(steps, outside, cost), step)
    if found is not None:
        assert abs(sum(found.shares.values()) - 1) <= 1e-9
        assert all(0 <= share <= 1 for share in found.shares.values())
        assert all(0 <= share <= 1 for share in found.cpu_shares.values())
