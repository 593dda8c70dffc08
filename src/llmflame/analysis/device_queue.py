"""When each piece of a device's work ends: every stream does its own in the order of their launches."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.analysis.timeline import Work


@dataclass(slots=True)
class DeviceQueue:
    """A device that is given work."""

    free: dict[int, float] = field(default_factory=dict)
    """By stream: when it has done what it was given."""
    ends: list[float] = field(default_factory=list)
    """By work, in the order of launching."""

    def launch(self, work: Work, at_ns: float, factor: float) -> float:
        """Queue work, `factor` times as long as in the trace; returns its start."""
        start = max(at_ns + work.latency_ns, self.free.get(work.stream, 0.0))
        end = start + work.duration_ns * factor
        self.free[work.stream] = end
        self.ends.append(end)
        return start

    def all_done(self) -> float:
        """When all that was launched so far is done."""
        return max(self.free.values(), default=0.0)
