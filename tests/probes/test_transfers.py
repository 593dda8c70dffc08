"""What moved how many bytes: each byte once, by operators of torch and by copies of a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llmflame.probes.charge import charge
from llmflame.probes.events import DeviceDetail, TraceEvent
from llmflame.probes.eventtree import Modules, read_trace
from llmflame.probes.tracing import Recorded, Window, part
from llmflame.probes.transfers import Kind, transfer_rows
from llmflame.store.rows import TransferRow
from tests.probes.made_traces import event, trace
from tests.probes.native_events import events_of

BF16, F32 = torch.bfloat16, torch.float32
CUDA = "cuda:0"


def tensor(elements: int, dtype: torch.dtype = BF16, place: str = "cpu") -> Any:
    return SimpleNamespace(
        sizes=[elements], strides=[1], dtype=dtype, device=place, storage_data_ptr=1, impl_ptr=1
    )


def op(name: str, inputs: list[Any], *children: TraceEvent, start: int = 110, end: int = 120) -> TraceEvent:
    made = event("op", name, start, end, *children)
    made.inputs = inputs
    return made


def copy(target: Any, source: Any, *children: TraceEvent, start: int = 110, end: int = 120) -> TraceEvent:
    return op("aten::copy_", [target, source, False], *children, start=start, end=end)


def memcpy(name: str, length: int, size: int | None = None) -> TraceEvent:
    """A call of the runtime with the device's copy below it."""
    made = event("copy", name, 112, 112 + length)
    made.on_device, made.device = True, DeviceDetail(7, size)
    return event("runtime", "cudaMemcpyAsync", 111, 113, made)


def rows(*roots: TraceEvent) -> list[TransferRow]:
    return transfer_rows(trace(*roots), "anatomy", "load")


def row(kind: Kind, source: str, target: str, read: int, written: int, wall: int, **more: Any) -> TransferRow:
    named = {"part": "", "pinned": None, "calls": 1} | more
    return TransferRow(
        "anatomy",
        "load",
        kind=kind,
        source=source,
        target=target,
        source_bytes=read,
        target_bytes=written,
        wall_ns=wall,
        **named,
    )


def test_alike_transfers_of_a_part_are_one_row() -> None:
    marked = event(
        "other",
        "weights",
        101,
        190,
        op("aten::to", [tensor(4)], op("aten::_to_copy", [tensor(4)], copy(tensor(4, F32), tensor(4)))),
        copy(tensor(3, F32), tensor(3), start=130, end=135),
    )
    again = copy(tensor(2, F32), tensor(2), start=191, end=192)
    assert rows(marked, again) == [
        row("convert", "bfloat16 cpu", "float32 cpu", 14, 28, 15, part="weights", calls=2),
        row("convert", "bfloat16 cpu", "float32 cpu", 4, 8, 1),
    ]


def test_the_outermost_mark_is_the_part() -> None:
    inner = event("other", "inner", 105, 130, copy(tensor(4), tensor(4)))
    (found,) = rows(event("other", "weights", 101, 190, inner))
    assert (found.part, found.kind) == ("weights", "copy")


def test_a_copy_to_a_device_takes_the_devices_time_and_says_whose_memory_it_left() -> None:
    moved = [
        copy(tensor(4, BF16, CUDA), tensor(4), memcpy("Memcpy HtoD (Pageable -> Device)", 50)),
        copy(tensor(4, BF16, CUDA), tensor(4), memcpy("Memcpy HtoD (Pinned -> Device)", 20)),
        copy(tensor(4), tensor(4, BF16, CUDA), memcpy("Memcpy DtoH (Device -> Pageable)", 30)),
    ]
    there = "bfloat16 cuda:0"
    assert rows(*moved) == [
        row("to device", "bfloat16 cpu", there, 8, 8, 50, pinned=False),
        row("to device", "bfloat16 cpu", there, 8, 8, 20, pinned=True),
        row("from device", there, "bfloat16 cpu", 8, 8, 30, pinned=False),
    ]


def test_within_and_between_devices() -> None:
    kernel = event("kernel", "elementwise", 112, 119)
    kernel.on_device = True
    launch = event("runtime", "cudaLaunchKernel", 111, 112, kernel)
    assert rows(
        copy(tensor(4, F32, CUDA), tensor(4, BF16, CUDA), launch),
        copy(tensor(4, BF16, CUDA), tensor(4, BF16, CUDA), memcpy("Memcpy DtoD (Device -> Device)", 2)),
        copy(tensor(4, BF16, "cuda:1"), tensor(4, BF16, CUDA), memcpy("Memcpy PtoP (Device -> Device)", 3)),
    ) == [
        row("convert", "bfloat16 cuda:0", "float32 cuda:0", 8, 16, 7),
        row("copy", "bfloat16 cuda:0", "bfloat16 cuda:0", 8, 8, 2),
        row("on device", "bfloat16 cuda:0", "bfloat16 cuda:1", 8, 8, 3),
    ]


def test_a_copy_that_converts_first_is_a_conversion_and_a_transfer_of_what_it_made() -> None:
    """torch converts on the host, then calls itself for the way to the device."""
    outer = copy(
        tensor(4, F32, CUDA),
        tensor(4),
        op("aten::to", [tensor(4)], copy(tensor(4, F32), tensor(4), start=111, end=114)),
        copy(tensor(4, F32, CUDA), tensor(4, F32), memcpy("Memcpy HtoD (Pageable -> Device)", 9)),
    )
    assert rows(outer) == [
        row("convert", "bfloat16 cpu", "float32 cpu", 8, 16, 3),
        row("to device", "float32 cpu", "float32 cuda:0", 16, 16, 9, pinned=False),
    ]


def test_a_join_counts_what_it_leaves_to_no_conversion() -> None:
    """Of 4 + 6 elements the first four are converted, then all ten are joined."""
    inner = copy(tensor(4, F32), tensor(4), start=111, end=114)
    assert rows(op("aten::cat", [[tensor(4), tensor(6, F32)], 0], inner)) == [
        row("copy", "float32 cpu", "float32 cpu", 24, 24, 7),
        row("convert", "bfloat16 cpu", "float32 cpu", 8, 16, 3),
    ]
    assert rows(op("aten::stack", [[tensor(4)] * 2], op("aten::cat", [[tensor(4)] * 2, 0]))) == [
        row("copy", "bfloat16 cpu", "bfloat16 cpu", 16, 16, 10)
    ]


def test_what_moves_nothing_is_not_counted() -> None:
    assert not rows(
        copy(tensor(4, F32, "meta"), tensor(4)),
        copy(tensor(4), tensor(4, BF16, "meta")),
        copy(tensor(0), tensor(0)),
        op("aten::cat", [[tensor(4, BF16, "meta")], 0]),
        op("aten::cat", [[tensor(0)], 0]),
        op("aten::cat", [["no tensor"], 0]),
        op("aten::copy_", [tensor(4)]),
        op("aten::copy_", [tensor(4), None]),
        op("aten::view", [tensor(4)]),
        copy(tensor(4), tensor(4), start=10, end=20),
        copy(tensor(4), tensor(4), start=210, end=220),
    )


def test_an_expanded_source_is_read_once() -> None:
    source = tensor(4)
    source.sizes, source.strides = [3, 4], [0, 1]
    (found,) = rows(copy(tensor(12), source))
    assert (found.source_bytes, found.target_bytes) == (8, 24)


def test_without_inputs_the_devices_copies_say_what_they_know() -> None:
    works = memcpy("Memcpy HtoD (Pageable -> Device)", 9, 64), memcpy("Memset", 9)
    assert rows(
        event("op", "aten::copy_", 110, 120, *works),
        memcpy("Memcpy DtoH (Device -> Pinned)", 4, 16),
        memcpy("Memcpy DtoD (Device -> Device)", 2),
        event("op", "aten::copy_", 110, 120),
    ) == [
        row("to device", "cpu", "device", 64, 64, 9, pinned=False),
        row("from device", "device", "cpu", 16, 16, 4, pinned=True),
        row("on device", "device", "device", 0, 0, 2),
    ]  # fmt: skip


# --- real ------------------------------------------------------------------------------------------------


def recorded(run: Callable[[], Any], **options: Any) -> Recorded:
    window = Window("load", None, cuda=False, stacks=False, **options)
    window.open()
    run()
    return window.close()


def _load() -> Iterator[torch.Tensor]:
    file = torch.frombuffer(bytearray(6000), dtype=torch.uint8).view(BF16)
    with part("weights"):
        yield file[:1000].to(F32)
        yield file[1000:].to(F32)
        yield file.to(BF16)
        yield torch.empty(3000, dtype=F32, device="meta").copy_(file)
        yield torch.stack([file, file])
    yield file.reshape(3, 1000).t().contiguous()


def test_a_real_load_is_counted_to_the_byte() -> None:
    kept: list[torch.Tensor] = []
    window = recorded(lambda: kept.extend(_load()), inputs=True)
    read = read_trace(window, Modules({}, None))
    found = transfer_rows(read, "anatomy", "load")
    said = [(one.part, one.kind, one.target, one.calls, one.source_bytes, one.target_bytes) for one in found]
    assert said == [
        ("weights", "convert", "float32 cpu", 2, 6000, 12000),
        ("weights", "copy", "bfloat16 cpu", 1, 12000, 12000),
        ("", "copy", "bfloat16 cpu", 1, 6000, 6000),
    ]
    assert all(one.wall_ns > 0 and one.pinned is None for one in found)


def test_a_window_with_inputs_has_allocations_too() -> None:
    """They are what a load's memory is told from: a window of shapes alone has none."""
    run = lambda: torch.ones(1000).to(BF16)  # noqa: E731
    window = recorded(run, inputs=True)
    assert window.shapes and not window.only_shapes
    made = charge(read_trace(window, Modules({}, None)))
    assert sum(made.cells["allocated_bytes"].values()) == 6000
    alone = recorded(run, shapes=True)
    assert alone.shapes and alone.only_shapes
    assert not any(one.is_allocation for one in events_of(read_trace(alone, Modules({}, None))))


@pytest.mark.parametrize("inputs", [False, True])
def test_inputs_are_not_held_on_to(inputs: bool) -> None:
    """What a load lets go of must go at once, or its peak would not be its own."""
    kept: list[torch.Tensor] = []

    def run() -> None:
        wide = torch.ones(1000)
        kept.append(wide.to(BF16))
        del wide

    made = charge(read_trace(recorded(run, inputs=inputs), Modules({}, None)))
    assert sum(made.cells["freed_bytes"].values()) == 4000
