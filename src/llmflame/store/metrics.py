"""The metrics that a cell may hold. Readers take unit and fold from here (or the file), never from a name."""

from __future__ import annotations

from llmflame.store.model import Metric

WALL = Metric("wall_ns", "ns", "sum", "Wall time")
CPU = Metric("on_cpu_ns", "ns", "sum", "Time on CPU")
OVERLAPPED = Metric("overlapped_ns", "ns", "sum", "Worker threads (beside wall)")
DEVICE = Metric("device_ns", "ns", "sum", "Device time")
CALLS = Metric("calls", "count", "none", "Calls")
ALLOCATED = Metric("allocated_bytes", "bytes", "sum", "Bytes allocated (host)")
FREED = Metric("freed_bytes", "bytes", "sum", "Bytes freed (host)")
DEVICE_ALLOCATED = Metric("device_allocated_bytes", "bytes", "sum", "Bytes allocated (device)")
DEVICE_FREED = Metric("device_freed_bytes", "bytes", "sum", "Bytes freed (device)")
ALLOCATIONS = Metric("allocations", "count", "sum", "Allocator events")
RESIDENT = Metric("resident_bytes", "bytes", "sum", "Resident growth")
SAMPLES = Metric("samples", "count", "sum", "Samples")

ALL = (
    WALL,
    CPU,
    OVERLAPPED,
    DEVICE,
    CALLS,
    ALLOCATED,
    FREED,
    DEVICE_ALLOCATED,
    DEVICE_FREED,
    ALLOCATIONS,
    RESIDENT,
    SAMPLES,
)
ID = {metric.name: number for number, metric in enumerate(ALL, start=1)}
