"""The search for the largest that fits, against trying all."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from llmflame.planning.bisection import TRIES, largest


def brute(sizes: list[int], limit: int) -> int:
    return sum(size <= limit for size in sizes)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300), st.integers(0, 8000), st.integers(1, 400))
def test_finds_what_trying_all_finds(steps: list[int], limit: int, start: int) -> None:
    sizes = list(accumulate(steps))
    found = largest(lambda n: sizes[n - 1], limit, start=start, cap=len(sizes), tries=60)
    assert found.exact and found.value == brute(sizes, limit)
    assert found.capped == (found.value == len(sizes))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300), st.integers(0, 8000), st.integers(1, 400))
def test_few_tries_give_what_fits(steps: list[int], limit: int, start: int) -> None:
    sizes, asked = list(accumulate(steps)), []

    def needs(n: int) -> int:
        asked.append(n)
        return sizes[n - 1]

    found = largest(needs, limit, start=start, cap=len(sizes))
    assert len(asked) == len(set(asked)) <= TRIES
    assert found.value == 0 or sizes[found.value - 1] <= limit
    assert not found.exact or found.value == brute(sizes, limit)


@given(
    st.integers(0, 10**10), st.integers(1, 10**8), st.integers(0, 10**4), st.integers(1, 10**11),
    st.integers(1, 4096),
)  # fmt: skip
def test_twelve_tries_are_enough_for_memory(
    fixed: int, slope: int, square: int, limit: int, start: int
) -> None:
    """A request's memory is a straight line of the batch, and of the context with scores a parabola."""
    found = largest(
        lambda n: fixed + slope * n + square * n * n, limit, start=start, cap=1_048_576, tries=TRIES + 12
    )
    assert found.exact
    line = largest(lambda n: fixed + slope * n, limit, start=start, cap=1_048_576)
    assert line.exact and line.value == min(max((limit - fixed) // slope, 0), 1_048_576)


def test_no_room() -> None:
    assert largest(lambda n: 10, 5, start=4, cap=100).value == 0
    assert largest(lambda n: 1, 5, start=4, cap=0).value == 0
