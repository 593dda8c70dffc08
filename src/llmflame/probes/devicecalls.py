"""What the driver's and runtime's calls do, by name, and whether they agree with what the device did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmflame.probes.devicelist import DeviceList
from llmflame.probes.events import DeviceChecks, TraceEvent

GRAPH_LAUNCHES = {name: f"{name} [graph]" for name in ("cudaGraphLaunch", "cuGraphLaunch", "hipGraphLaunch")}
"""A graph's kernels hang below its launch; which operator each was captured from, torch doesn't say."""
_LAUNCHES = (
    "cudaLaunchKernel",
    "cudaLaunchCooperativeKernel",
    "cuLaunchKernel",
    "cuLaunchCooperativeKernel",
    "cudaMemcpyAsync",
    "cudaMemsetAsync",
    "hipLaunchKernel",
    "hipExtModuleLaunchKernel",
    "hipMemcpyAsync",
    "hipMemsetAsync",
    *GRAPH_LAUNCHES,
)
_WAITS = frozenset(
    f"{prefix}{what}Synchronize" for prefix in ("cuda", "hip") for what in ("Stream", "Device", "Event")
) | {"cuStreamSynchronize", "cuCtxSynchronize", "cuEventSynchronize"}
TRACER_COSTS = frozenset(
    {"Activity Buffer Request", "Buffer Flush", "Instrumentation", "Resource", "UVM Activity Init"}
)
"""What CUPTI's overhead records call its own work (`CUpti_ActivityOverheadKind`); it is not the program's."""
CLOCK_TOLERANCE_NS = 1_000
"""Two clocks aligned by a linear fit: work that seems to begin this little before its call may have not."""


def is_launch(name: str) -> bool:
    """Does this driver or runtime call put work on a device?"""
    return name.startswith(_LAUNCHES)


def is_wait(name: str) -> bool:
    """Does the host do nothing in this call but wait for a device?"""
    return name in _WAITS


def is_copy(name: str) -> bool:
    """Is this work of a device a copy or a fill, by the names that CUPTI gives them?"""
    return name.startswith(("Memcpy", "Memset"))


def check_device(
    calls: Sequence[tuple[Any, TraceEvent]], listed: DeviceList, open_ns: int, close_ns: int
) -> DeviceChecks:
    """Compare the launches of a window with the device's work. `calls` holds torch's event beside ours.

    A call that has work below it is a launch whatever its name: `cudaMemcpy` may copy, or have nothing to do.
    """
    checks = DeviceChecks()
    launches = [pair for pair in calls if is_launch(pair[0].name) or _works(pair[1])]
    inside = [pair for pair in launches if open_ns <= pair[1].start_ns <= close_ns]
    known = {native.correlation_id for native, _ in launches}
    wanted = {native.correlation_id for native, _ in inside}
    for _, event in inside:
        works = _works(event)
        checks.launches += 1
        checks.works += len(works)
        checks.launches_without_work += not works
        for work in works:
            early = event.start_ns - work.start_ns
            checks.early += early > CLOCK_TOLERANCE_NS
            checks.skew_ns = max(checks.skew_ns, early)
    for correlation, start_ns in listed.details:
        checks.listed += correlation in wanted
        checks.work_without_launch += correlation not in known and open_ns <= start_ns <= close_ns
    return checks


def _works(call: TraceEvent) -> list[TraceEvent]:
    return [child for child in call.children if child.on_device]
