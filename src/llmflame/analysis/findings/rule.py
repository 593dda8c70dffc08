"""What a rule answers."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.replay import Change


@dataclass(frozen=True, slots=True)
class Ruling:
    """A finding, and the change whose gain it bounds, where that is one of the timeline."""

    finding: Finding
    change: Change | None = None
    runs_ahead: bool = False
    """Whether with it the host runs ahead: a step then takes as long as the busier of host and device."""
