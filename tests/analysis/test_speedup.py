"""How sure a speed-up is: what changes nothing is hardly ever called a change."""

from __future__ import annotations

import random

import pytest

from llmflame.analysis.experiment.footprint import memory_verdict
from llmflame.analysis.experiment.speedup import speedup

RUNS = 2_000
"""Enough to see 1 % as between 0.3 and 2."""
MIB = 1 << 20


def normal(draw: random.Random) -> float:
    """Processes differ by 2 %."""
    return draw.gauss(0, 0.02)


def two_layouts(draw: random.Random) -> float:
    """A process gets the good layout of memory or the bad one, 4 % apart, and stays there."""
    return draw.choice((0.0, 0.04)) + draw.gauss(0, 0.002)


def disturbed(draw: random.Random) -> float:
    """One process in ten shares its CPU with somebody."""
    return draw.gauss(0, 0.01) + (draw.expovariate(4) if draw.random() < 0.1 else 0)


NOISE = [normal, two_layouts, disturbed]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("rounds", [4, 5, 9])
def test_what_changes_nothing_is_called_a_change_in_less_than_2_of_100_experiments(
    noise: object, rounds: int
) -> None:
    """The promise is 2 of 40 A/A experiments at most: at 2 % more than that happens once in twenty times."""
    assert callable(noise)
    draw = random.Random(7)
    wrong = 0
    for _ in range(RUNS):
        drift = 0.0
        base, other = [], []
        for _ in range(rounds):
            drift += draw.gauss(0, 0.01)  # the machine warms up, others come and go
            base.append(100 * (1 + drift) * (1 + noise(draw)))
            other.append(100 * (1 + drift) * (1 + noise(draw)))
        found = speedup(base, other)
        assert found is not None
        wrong += found.verdict != "no difference"
    assert wrong / RUNS < 0.02


@pytest.mark.parametrize("noise", [normal, two_layouts])
def test_what_is_a_quarter_faster_is_found_in_five_rounds(noise: object) -> None:
    assert callable(noise)
    draw = random.Random(8)
    found = 0
    for _ in range(200):
        base = [100 * (1 + noise(draw)) for _ in range(5)]
        other = [80 * (1 + noise(draw)) for _ in range(5)]
        gain = speedup(base, other)
        found += gain is not None and gain.verdict == "faster"
    assert found >= 190


def test_the_interval_holds_the_ratio_that_was_seen_and_is_the_same_each_time() -> None:
    base, other = [10.0, 11.0, 10.5, 30.0, 10.2], [5.0, 5.2, 5.1, 5.3, 5.0]
    found = speedup(base, other)
    assert found is not None and found == speedup(base, other)
    assert found.low < found.ratio < found.high and found.rounds == 5
    inverse = speedup(other, base)
    assert inverse is not None
    assert inverse.low == pytest.approx(1 / found.high) and inverse.ratio == pytest.approx(1 / found.ratio)


def test_three_rounds_say_nothing() -> None:
    assert speedup([1.0] * 3, [0.5] * 3) is None


def test_a_change_of_less_than_a_hundredth_is_none_however_sure_it_is() -> None:
    found = speedup([100.0] * 5, [99.5] * 5)
    assert found is not None and found.low > 1 and found.verdict == "no difference"
    found = speedup([100.0] * 5, [98.0] * 5)
    assert found is not None and found.verdict == "faster"
    found = speedup([100.0] * 5, [103.0] * 5)
    assert found is not None and found.verdict == "slower"


@pytest.mark.parametrize(
    ("base", "other", "verdict"),
    [
        ([100, 101, 102], [200, 201, 202], "needs more"),
        ([200, 201, 202], [100, 101, 102], "needs less"),
        ([100, 101, 102], [100, 103, 101], "same"),
        ([100, 101, 190], [150, 160, 170], "same"),  # they overlap
        ([1000, 1000, 1000], [1015, 1015, 1015], "same"),  # less than 16 MiB
        ([], [100], None),
    ],
)
def test_memory(base: list[int], other: list[int], verdict: str | None) -> None:
    assert memory_verdict([n * MIB for n in base], [n * MIB for n in other]) == verdict
