"""What a kernel is bound by: planted shares as an H200 gave them, and places under the roofline."""

from __future__ import annotations

import pytest

from llmflame.analysis.ceiling import Rates
from llmflame.analysis.stalls.bound import bound_of, dominant_of, issued_share
from llmflame.analysis.stalls.counts import StallCounts
from llmflame.analysis.stalls.position import Position

RATES = Rates(bytes_per_s=4e12, flop_per_s=800e12)
MEMORY = {"long_scoreboard": (423, 396), "drain": (55, 52), "short_scoreboard": (21, 20), "selected": (30, 0)}
ARITHMETIC = {"not_selected": (903, 0), "selected": (85, 0), "wait": (3, 1), "math_pipe_throttle": (3, 1)}
BARRIERS = {"barrier": (346, 263), "mio_throttle": (169, 146), "not_selected": (24, 0), "wait": (21, 5)}
FETCH = {"wait": (420, 13), "no_instructions": (212, 201), "selected": (140, 0), "imc_miss": (3, 2)}
TENSOR = {"warpgroup_arrive": (700, 690), "long_scoreboard": (100, 90), "selected": (60, 0)}


def counts(by_reason: dict[str, tuple[int, int]]) -> StallCounts:
    return StallCounts(dict(by_reason))


def at(memory: float, arithmetic: float) -> Position:
    """A kernel of a millisecond at these shares of the ceilings."""
    return Position(1e6, 1, memory * 4e9, arithmetic * 800e9, 1e6).against(RATES)


@pytest.mark.parametrize(
    ("found", "group", "reason"),
    [
        (MEMORY, "device memory", "long_scoreboard"),
        (ARITHMETIC, "issuing", "not_selected"),
        (BARRIERS, "barriers", "barrier"),
        # Most of its samples are `wait`, but those cost nothing: the scheduler issued others meanwhile.
        (FETCH, "instruction fetch", "no_instructions"),
        (TENSOR, "arithmetic", "warpgroup_arrive"),
    ],
)
def test_what_most_is_lost_to(found: dict[str, tuple[int, int]], group: str, reason: str) -> None:
    dominant = dominant_of(counts(found))
    assert dominant is not None and (dominant.group, dominant.reason) == (group, reason)


def test_nothing_is_lost_to_nothing() -> None:
    assert dominant_of(counts({})) is None
    assert bound_of(counts({}), at(1, 1)) is None


@pytest.mark.parametrize(
    ("found", "memory", "arithmetic", "bound"),
    [
        (MEMORY, 0.8, 0.01, "memory"),
        (MEMORY, 0.3, 0.01, "latency"),
        (BARRIERS, 0.3, 0.3, "latency"),
        (BARRIERS, 0.8, 0.01, None),  # memory is busy, and yet nobody waits for it
        (TENSOR, 0.3, 0.7, "arithmetic"),
        (TENSOR, 0.3, 0.3, "latency"),
        (ARITHMETIC, 0.3, 0.3, "issue"),
        (ARITHMETIC, 0.9, 0.3, "issue"),
    ],
)
def test_bounds(
    found: dict[str, tuple[int, int]], memory: float, arithmetic: float, bound: str | None
) -> None:
    assert bound_of(counts(found), at(memory, arithmetic)) == bound


def test_without_ceilings_only_a_busy_scheduler_is_told() -> None:
    unknown = Position(1e6, 1, 1e9, 0, 1e6).against(Rates(None, None))
    assert bound_of(counts(MEMORY), unknown) is None
    assert bound_of(counts(ARITHMETIC), unknown) == "issue"
    half_known = Position(1e6, 1, 0.9 * 4e9, 0, 1e6).against(Rates(4e12, None))
    assert bound_of(counts(MEMORY), half_known) == "memory"


def test_the_share_of_cycles_in_which_something_was_issued() -> None:
    assert issued_share(counts({"wait": (80, 30), "selected": (20, 0)})) == pytest.approx(0.7)


def test_the_ceiling_that_would_be_met_first() -> None:
    assert at(0.5, 0.2).side == "memory" and at(0.5, 0.2).used == pytest.approx(0.5)
    assert at(0.1, 0.2).side == "arithmetic" and at(0.1, 0.2).used == pytest.approx(0.2)
    assert at(0, 0).side is None and at(0, 0).used is None
