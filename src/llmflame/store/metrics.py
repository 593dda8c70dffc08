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
HOST = Metric("host_ns", "ns", "sum", "Host time")
IDLE = Metric("gpu_idle_ns", "ns", "sum", "GPU idle")
COPIED = Metric("copied_bytes", "bytes", "sum", "Bytes copied by the device")
LOW_OCCUPANCY = Metric("low_occupancy_ns", "ns", "sum", "Device time in grids smaller than the device")
FLOPS = Metric("flops", "flop", "sum", "Floating-point operations")
READ = Metric("read_bytes", "bytes", "sum", "Bytes that operators must read")
WRITTEN = Metric("written_bytes", "bytes", "sum", "Bytes that operators must write")
WEIGHTS_READ = Metric("weight_bytes", "bytes", "sum", "Bytes of weights read")
UNKNOWN_WORK = Metric("unknown_work", "count", "sum", "Operators whose work is not known")
FLOOR = Metric("floor_ns", "ns", "sum", "Roofline floor")
HELD = Metric("held_bytes", "bytes", "sum", "Bytes held at the peak (host)")
DEVICE_HELD = Metric("device_held_bytes", "bytes", "sum", "Bytes held at the peak (device)")
LEFT = Metric("left_bytes", "bytes", "sum", "Bytes left behind (host)")
DEVICE_LEFT = Metric("device_left_bytes", "bytes", "sum", "Bytes left behind (device)")
PINNED = Metric("pinned_bytes", "bytes", "sum", "Bytes of page-locked host memory asked for")
HEAP = Metric("heap_bytes", "bytes", "sum", "Bytes allocated on the heap (all of the process)")
HEAP_HELD = Metric("heap_held_bytes", "bytes", "sum", "Bytes of the heap held at the phase's peak")
HEAP_LEFT = Metric("heap_left_bytes", "bytes", "sum", "Bytes of the heap left when the phase ends")
MAPPED = Metric("mapped_bytes", "bytes", "sum", "Bytes of files mapped")

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
    HOST,
    IDLE,
    COPIED,
    LOW_OCCUPANCY,
    FLOPS,
    READ,
    WRITTEN,
    WEIGHTS_READ,
    UNKNOWN_WORK,
    FLOOR,
    HELD,
    DEVICE_HELD,
    LEFT,
    DEVICE_LEFT,
    PINNED,
    HEAP,
    HEAP_HELD,
    HEAP_LEFT,
    MAPPED,
)
"""In the order of their numbers in a file: new ones come last."""
ID = {metric.name: number for number, metric in enumerate(ALL, start=1)}
WORK = frozenset(metric.name for metric in (FLOPS, READ, WRITTEN, WEIGHTS_READ, UNKNOWN_WORK))
"""What a window with shapes tells."""
