"""One thing to change, with the evidence for it and a bound of its gain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Scope = Literal["request", "cold start", "memory"]
LEAST_SHARE = 0.05
"""A finding that could gain less than this of its scope's time isn't worth a person's attention."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`name` is for programs, everything else for people."""

    name: str
    title: str
    scope: Scope
    gain_ns: float
    """At most, of the scope's time: one request, or one cold start."""
    evidence: tuple[str, ...]
    """Sentences with the numbers of this profile."""
    change: str
    variant: str | None
    """The name of the experiment that would test it; None where there is none but to try."""
    frames: tuple[str, ...] = ()
    """The frames that hold the time, heaviest first."""
    gain_share: float = 0.0
    """Of the scope's time, or of the peak that memory is saved of."""
    gain_bytes: float = 0.0
    """At most, of a finding about memory."""
    always: bool = False
    """Is it told however little it is now? What grows without end is."""

    def with_gain(self, gain_ns: float, share: float) -> Finding:
        """The same with another bound."""
        return replace(self, gain_ns=gain_ns, gain_share=share)
