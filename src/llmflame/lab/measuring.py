"""Requests with a clock beside them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from llmflame.lab.runner import Runner
from llmflame.lab.trial import Request


@dataclass(slots=True)
class Timed:
    """One request: when each group of ids was on the host, and the ids."""

    begin_ns: int
    arrivals: list[tuple[int, list[list[int]]]] = field(default_factory=list)
    end_ns: int = 0

    @property
    def rows(self) -> list[list[int]]:
        """The ids of each row."""
        groups = [group for _, group in self.arrivals]
        return [[token for group in groups for token in group[row]] for row in range(len(groups[0]))]

    def as_request(self) -> Request:
        """Times of tokens; a group that came at once is divided evenly."""
        steps: list[int] = []
        before = self.arrivals[0][0]
        for now, group in self.arrivals[1:]:
            count = len(group[0])
            edges = [before + (now - before) * part // count for part in range(count + 1)]
            steps += [b - a for a, b in itertools.pairwise(edges)]
            before = now
        return Request(self.arrivals[0][0] - self.begin_ns, steps, self.end_ns - self.begin_ns)


def timed_request(
    runner: Runner, prompt: Tensor, new_tokens: int, settle: Callable[[], None] = lambda: None
) -> Timed:
    """Run one. `settle` waits until the device has nothing to do, before the clock starts."""
    settle()
    found = Timed(time.perf_counter_ns())
    runner.request(prompt, new_tokens, lambda ids: found.arrivals.append((time.perf_counter_ns(), ids)))
    found.end_ns = time.perf_counter_ns()
    return found
