"""The largest number that still fits, in few trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TRIES = 12
"""Each is a simulation of a request."""
_GUESSES = 6
"""Trials that follow a straight line; then halving takes over, which no shape of the curve can delay."""


@dataclass(frozen=True, slots=True)
class Most:
    """The largest value that fits; 0 where not even 1 does."""

    value: int
    capped: bool
    """Whether the largest value that was allowed fits."""
    exact: bool
    """Whether the next larger value was seen not to fit (or is not allowed)."""


def largest(needs: Callable[[int], int], limit: int, *, start: int, cap: int, tries: int = TRIES) -> Most:
    """The largest n in 1..cap with needs(n) <= limit, for a `needs` that never falls.

    Memory is close to linear in both batch and context, so a line through two trials finds the place.
    """
    if cap < 1:
        return Most(0, False, True)
    low, high = 0, cap + 1
    seen: dict[int, int] = {}
    guess = min(max(start, 1), cap)
    for trial in range(tries):
        if high - low <= 1:
            break
        seen[guess] = needs(guess)
        if seen[guess] <= limit:
            low = guess
        else:
            high = guess
        guess = _next(seen, limit, low, high, trial)
    return Most(low, low == cap, high - low <= 1)


def _next(seen: dict[int, int], limit: int, low: int, high: int, trial: int) -> int:
    """Between low and high: on the line through the two trials that are nearest to the limit."""
    if len(seen) == 1:
        guess = 2 * low if low else high // 2
    elif trial >= _GUESSES:
        guess = (low + high) // 2
    else:
        one, other = sorted(seen, key=lambda n: abs(seen[n] - limit))[:2]
        slope = (seen[other] - seen[one]) / (other - one)
        guess = int(one + (limit - seen[one]) / slope) if slope > 0 else high - 1
    return min(max(guess, low + 1), high - 1)
