"""What a measure gives: a number and how it came about, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llmflame.probes.ceilings.names import SECTION, UNITS
from llmflame.probes.machine.outside import why
from llmflame.store.model import Fact


class NotMeasured(Exception):
    """A measure that can't or shouldn't be made here. The message is for people: it says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A measured number in the unit of its name, and in a few words how it was measured."""

    value: float
    how: str


def fact_of(name: str, measure: Callable[[], Outcome]) -> Fact:
    """The fact that `measure` gives. Whatever it raises makes the fact unknown and is its source."""
    unit = UNITS[name]
    try:
        outcome = measure()
    except NotMeasured as reason:
        return Fact(SECTION, name, None, unit, f"not measured: {reason}")
    # A missing kernel, exhausted memory, a lost device: one measure's failure is not the others'.
    except Exception as error:
        return Fact(SECTION, name, None, unit, f"not measured: {why(error)}")
    if not math.isfinite(outcome.value) or outcome.value <= 0:
        return Fact(SECTION, name, None, unit, f"not measured: {outcome.how} gave {outcome.value}")
    return Fact(SECTION, name, float(outcome.value), unit, outcome.how)
