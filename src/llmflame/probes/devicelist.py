"""The tracer's flat list: streams, bytes, grids and the system's threads, which the event tree doesn't have.

`kineto_results.events()` is torch's own C++ list and cheap to walk; only `events()` of the Python layer is
slow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from llmflame.probes.events import DeviceDetail

MEMORY = "[memory]"
"""What torch calls an allocator event in that list; it has no duration."""
LARGEST = 2**63 - 1
"""What a file's integers can hold."""
Key = tuple[int, int]
"""Correlation id and start in nanoseconds: a CUDA graph's kernels share one id."""


@dataclass(slots=True)
class DeviceList:
    """Kernels, copies and fills by correlation id and start."""

    details: dict[Key, DeviceDetail] = field(default_factory=dict)
    annotations: set[Key] = field(default_factory=set)
    """Stretches from the first to the last kernel of a range that the program named: no work of their own."""

    def of(self, correlation: int, start_ns: int) -> DeviceDetail | None:
        """What is known of one; None where the list has no such work."""
        return self.details.get((correlation, start_ns))


def read_device_list(results: Any) -> DeviceList:
    """All work on devices in torch's `_ProfilerResult`; empty where no device was traced."""
    found = DeviceList()
    for event in results.events():
        if str(event.device_type()).endswith("CPU") or event.name() == MEMORY:
            continue
        key = (event.correlation_id(), event.start_ns())
        if event.is_user_annotation():
            found.annotations.add(key)
        else:
            found.details[key] = _detail(event)
    return found


def read_native_ids(results: Any) -> dict[int, int]:
    """By the tracer's own number of a host's thread: the system's. Empty where this torch doesn't tell."""
    found: dict[int, int] = {}
    for event in results.events():
        try:
            thread = event.start_thread_id()
            if thread not in found and str(event.device_type()).endswith("CPU"):
                found[thread] = int(event.device_resource_id())
        except AttributeError:
            return {}
    return found


def _detail(event: Any) -> DeviceDetail:
    told = _metadata(event)
    blocks_per_sm = told.get("blocks per SM")
    size = told.get("bytes")
    return DeviceDetail(
        stream=int(event.device_resource_id()),
        bytes=size if type(size) is int and 0 <= size <= LARGEST else None,
        low_occupancy=isinstance(blocks_per_sm, int | float) and blocks_per_sm < 1,
    )


def _metadata(event: Any) -> dict[str, Any]:
    """Kineto writes an event's details as the inside of a JSON object, where it was asked to."""
    try:
        text = event.metadata_json()
        told = json.loads(f"{{{text}}}" if text and not text.lstrip().startswith("{") else text or "{}")
    except (AttributeError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
