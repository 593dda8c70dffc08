"""What an importer read, before it is a profile: the same for every format."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.store.model import Fact
from llmflame.store.observed import ObservedTree

Reasons = dict[str, tuple[int, int]]
"""By stall reason: samples, and those of them in which the scheduler issued nothing."""


@dataclass(slots=True)
class Observation:
    """A tree of frames, and why its kernels waited."""

    model: str
    """What the profile is called."""
    source: str
    """The tool and its format, in words."""
    tree: ObservedTree = field(default_factory=ObservedTree)
    stalls: dict[str, Reasons] = field(default_factory=dict)
    """By kernel."""
    facts: list[Fact] = field(default_factory=list)
    wall_ns: int = 0
    """What the frames add up to; 0 where the file tells no times."""
    notes: list[str] = field(default_factory=list)
    """Sentences on what the file doesn't say."""
