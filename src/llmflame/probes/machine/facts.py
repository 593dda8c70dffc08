"""Making facts out of readings: parsed where they can be, None with the reason where not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from llmflame.probes.machine.outside import Reading, why
from llmflame.store.model import Fact

Value = str | int | float | bool | None
INT64_MAX = 2**63 - 1


def fact_of(
    section: str, name: str, reading: Reading, unit: str | None = None, parse: Callable[[str], Value] = str
) -> Fact:
    """A reading as a fact. Text that `parse` answers with None or refuses is unknown, and that is said."""
    if reading.text is None:
        return Fact(section, name, None, unit, reading.source)
    try:
        value = parse(reading.text)
    except (ValueError, ArithmeticError):
        value = None
    if value is None:
        return Fact(section, name, None, unit, f"{reading.source}: not understood")
    return Fact(section, name, value, unit, reading.source)


def first_known(candidates: Iterable[Fact]) -> Fact:
    """The first fact that has a value; without one, an unknown one that names every source tried."""
    tried: list[Fact] = []
    for candidate in candidates:
        if candidate.value is not None:
            return candidate
        tried.append(candidate)
    sources = dict.fromkeys(fact.source for fact in tried)
    return replace(tried[0], source="; ".join(sources))


def asked(section: str, name: str, call: Callable[[], Value], source: str, unit: str | None = None) -> Fact:
    """What a library call answers. Any error at all makes the fact unknown: facts never stop a recording."""
    try:
        value = call()
    except Exception as error:
        return Fact(section, name, None, unit, f"{source}: {why(error)}")
    if value is None:
        return Fact(section, name, None, unit, f"{source}: not stated")
    return Fact(section, name, value, unit, source)


def storable(fact: Fact) -> Fact:
    """The fact as JSON and SQLite can hold it: no lone surrogates, finite numbers, 64-bit integers."""
    value = fact.value
    source = _encodable(fact.source)
    if isinstance(value, str):
        value = _encodable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        value, source = None, f"{source}: not a finite number"
    elif isinstance(value, int) and abs(value) > INT64_MAX:
        value, source = None, f"{source}: out of range"
    return Fact(_encodable(fact.section), _encodable(fact.name), value, fact.unit, source)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
