"""Intervals of ratios: known quantiles, how often noise is taken for a change, and what can't be told."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.compare.interval import (
    BETWEEN_RECORDINGS,
    CONFIDENCE,
    Interval,
    ratio_interval,
    student_quantile,
    verdict_of,
)

PAIRS = 1_000
Draw = Callable[[random.Random], float]
NOISES: dict[str, Draw] = {
    "even": lambda source: math.exp(source.gauss(0, 0.1)),
    "with outliers": lambda source: math.exp(source.gauss(0, 0.6 if source.random() < 0.1 else 0.05)),
    "one-sided": lambda source: 1 + source.expovariate(5),
}


def sample(source: random.Random, draw: Draw, size: int) -> list[float]:
    return [1e9 * draw(source) for _ in range(size)]


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.7062), (2, 4.30265), (4, 2.77645), (6, 2.44691), (30, 2.04227)]
)
def test_quantiles_are_those_of_the_tables(freedom: int, value: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (2, 7), (5, 5), (7, 7)])
@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_called_a_change_no_more_often_than_promised(noise: str, sizes: tuple[int, int]) -> None:
    """Pairs of samples of one distribution, without the allowance for what two recordings differ by."""
    source = random.Random(20_250_101)
    alarms = 0
    for _ in range(PAIRS):
        found = ratio_interval(*(sample(source, NOISES[noise], size) for size in sizes))
        assert found is not None
        bare = Interval(found.low * (1 + BETWEEN_RECORDINGS), found.high / (1 + BETWEEN_RECORDINGS))
        alarms += not bare.holds(1.0)
    assert alarms <= round((1 - CONFIDENCE) * PAIRS)


def test_one_side_that_is_noisier_alarms_no_more_often() -> None:
    source = random.Random(7)
    alarms = 0
    for _ in range(PAIRS):
        calm = [1e9 * math.exp(source.gauss(0, 0.02)) for _ in range(3)]
        loud = [1e9 * math.exp(source.gauss(0, 0.2)) for _ in range(5)]
        found = ratio_interval(calm, loud)
        assert found is not None
        alarms += not found.holds(1.0)
    assert alarms <= round((1 - CONFIDENCE) * PAIRS)


def test_a_change_is_seen() -> None:
    """Three repetitions that vary by 1 %: 20 % is seen in nearly every pair."""
    source = random.Random(3)
    seen = 0
    for _ in range(PAIRS):
        before = [1e9 * math.exp(source.gauss(0, 0.01)) for _ in range(3)]
        after = [1.2e9 * math.exp(source.gauss(0, 0.01)) for _ in range(3)]
        seen += verdict_of(ratio_interval(before, after)) == "slower"
    assert seen >= 0.98 * PAIRS


positive = st.floats(1e-3, 1e12)


@given(st.lists(positive, min_size=2, max_size=8), st.lists(positive, min_size=2, max_size=8))
def test_turned_round_it_is_the_inverse(before: list[float], after: list[float]) -> None:
    one, other = ratio_interval(before, after), ratio_interval(after, before)
    assert (one is None) == (other is None)
    if one is not None and other is not None and max(one.high, other.high) < 1e100:
        assert one.low == pytest.approx(1 / other.high, rel=1e-6)
        assert one.high == pytest.approx(1 / other.low, rel=1e-6)
        assert one.low < one.high


def test_too_little_to_tell() -> None:
    assert ratio_interval([1.0], [2.0, 2.1]) is None
    assert ratio_interval([], [2.0, 2.1]) is None
    assert ratio_interval([0.0, 1.0], [2.0, 2.1]) is None
    assert ratio_interval([1.0, 1.0], [2.0, 2.0]) is None, "a clock that coarse says nothing"
    same = ratio_interval([1.0, 1.0], [1.0, 1.0])
    assert same is not None and verdict_of(same) == "no difference seen"
    assert verdict_of(None) == "unknown"


def test_words() -> None:
    assert verdict_of(Interval(1.1, 1.2)) == "slower"
    assert verdict_of(Interval(0.8, 0.9)) == "faster"
    assert verdict_of(Interval(1.1, 1.2), more_is_better=True) == "faster"
    assert verdict_of(Interval(0.9, 1.2)) == "no difference seen"


def test_equal_samples_give_equal_intervals() -> None:
    assert ratio_interval([1.0, 1.2, 1.1], [1.3, 1.2]) == ratio_interval([1.0, 1.2, 1.1], [1.3, 1.2])
