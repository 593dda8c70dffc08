"""What was held when each decode step of the counted request began."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.memory.series import EMPTY, series
from llmflame.analysis.phases import steps
from llmflame.store.profile import Profile


@dataclass(frozen=True, slots=True)
class StepBytes:
    """Bytes of one step; None is unknown."""

    heap: int | None = None
    """Given out by the C library's allocator."""
    kv_cache: int | None = None
    device: int | None = None
    """Given out by the device's allocator."""
    device_peak: int | None = None
    """The most that it had given out within the step."""


def step_bytes(profile: Profile) -> dict[int, StepBytes]:
    """By step's index, of the request of the memory pass; empty where there was none."""
    gauges = series(profile, "memory")

    def at(name: str, instant_ns: int) -> int | None:
        value = gauges.get(name, EMPTY).at(instant_ns)
        return None if value is None else round(value)

    return {
        span.step or 0: StepBytes(
            at("heap_bytes", span.start_ns),
            at("kv_cache_bytes", span.start_ns),
            at("device_allocated_bytes", span.start_ns),
            span.device_peak_bytes,
        )
        for span in steps(profile, pass_name="memory")
    }
