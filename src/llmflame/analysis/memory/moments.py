"""The census that speaks for a phase: who held what when it began, or nearest to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmflame.store.profile import Profile
from llmflame.store.rows import MomentRow, Space

Holders = dict[tuple[str, str], float]
"""Bytes by category and owner."""


@dataclass(slots=True)
class Moment:
    """A census, or what changed from a window's opening to its peak."""

    row: MomentRow
    held: dict[Space, Holders] = field(default_factory=lambda: {"host": {}, "device": {}})
    readings: dict[str, int] = field(default_factory=dict)

    def of(self, space: Space, category: str) -> float:
        """Bytes of a category."""
        return sum(size for (name, _), size in self.held[space].items() if name == category)


@dataclass(frozen=True, slots=True)
class Moments:
    """All moments of a profile."""

    all: tuple[Moment, ...]

    def find(self, pass_name: str, phase: str, when: str, *, last: bool = False) -> Moment | None:
        """The first moment of its kind, or the last."""
        found = [
            moment
            for moment in self.all
            if (moment.row.pass_name, moment.row.phase, moment.row.when) == (pass_name, phase, when)
        ]
        return (found[-1] if last else found[0]) if found else None

    def before(self, phase: str) -> Moment | None:
        """Who held what when a phase began; of decode, when its last step began."""
        for pass_name, name, when in _BASES.get(phase, ()):
            moment = self.find(pass_name, name, when, last=phase == "decode")
            if moment is not None:
                return moment
        return None

    def peak(self, phase: str) -> Moment | None:
        """How the phase's last traced window differed at its peak from when it opened."""
        return self.find("anatomy", phase, "peak", last=True)


_AFTER = ("clean", "request", "end")
"""Of a recording that can't be repeated: who holds what when its block ends."""
_REQUEST = (("memory", "request", "begin"), ("memory", "prefill", "begin"), _AFTER)
_BASES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "import": (("clean", "import", "end"),),
    "load": (("clean", "load", "end"),),
    "warmup": (("clean", "load", "end"), *_REQUEST),
    "tokenize": _REQUEST,
    "prepare": _REQUEST,
    "prefill": (("memory", "prefill", "begin"), _AFTER),
    "decode": (("memory", "decode", "begin"), ("memory", "prefill", "end"), _AFTER),
    "detokenize": (("memory", "request", "end"), _AFTER),
}


def moments(profile: Profile) -> Moments:
    """The moments of a profile in order of time, each with its holders and readings."""
    found = {(row.pass_name, row.id): Moment(row) for row in profile.moments}
    for holding in profile.holdings:
        holders = found[holding.pass_name, holding.moment].held[holding.space]
        holders[holding.category, holding.owner] = holding.bytes
    for reading in profile.readings:
        found[reading.pass_name, reading.moment].readings[reading.name] = reading.value
    return Moments(tuple(found.values()))
