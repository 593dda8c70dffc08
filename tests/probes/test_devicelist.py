"""What the flat list knows of a device's work, and that nothing in it can stop a recording."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llmflame.probes.devicelist import DeviceList, read_device_list
from llmflame.probes.events import DeviceDetail
from llmflame.probes.eventtree import Modules, read_trace
from llmflame.probes.tracing import Window
from tests.probes.native_events import Listed, kineto, op


def listed(*events: Any) -> DeviceList:
    return read_device_list(SimpleNamespace(events=lambda: list(events)))


def detail(metadata: Any) -> DeviceDetail:
    found = listed(Listed(kineto("k", 100, 5, correlation=3), metadata=metadata)).of(3, 100)
    assert found is not None
    return found


def test_an_empty_list() -> None:
    assert listed() == DeviceList()


def test_a_trace_of_a_cpu_has_no_work_of_a_device() -> None:
    window = Window("x", None, cuda=False)
    window.open()
    torch.ones(3).add(1)
    recorded = window.close()
    assert recorded.results.events()
    assert read_device_list(recorded.results) == DeviceList()
    assert recorded.allocated_bytes is None
    assert read_trace(recorded, Modules({}, None)).checks.listed == 0


def test_work_is_found_by_correlation_and_start() -> None:
    """A graph's kernels share one correlation id."""
    kernels = [kineto("k", start, 5, correlation=9) for start in (100, 110)]
    found = listed(Listed(kernels[0], stream=7), Listed(kernels[1], stream=13))
    assert found.of(9, 100) == DeviceDetail(stream=7)
    assert found.of(9, 110) == DeviceDetail(stream=13)
    assert found.of(9, 105) is None and found.of(8, 100) is None


def test_the_hosts_events_and_allocations_are_left_out() -> None:
    host = Listed(op("aten::mm", 100, 5), device="DeviceType.CPU")
    memory = Listed(kineto("[memory]", 100, 0))
    assert listed(host, memory) == DeviceList()


def test_ranges_that_the_program_named_are_no_work() -> None:
    found = listed(Listed(kineto("my range", 100, 50, correlation=2), annotation=True))
    assert found.details == {} and found.annotations == {(2, 100)}


def test_bytes_and_occupancy() -> None:
    kernel = '"queued": 0, "device": 0, "stream": 7, "blocks per SM": 0.24242425, "grid": [32, 1, 1]'
    assert detail(kernel) == DeviceDetail(stream=7, low_occupancy=True)
    assert detail('"blocks per SM": 1.0') == DeviceDetail(stream=7)
    assert detail('"bytes": 4096, "memory bandwidth (GB/s)": 1.5') == DeviceDetail(7, bytes=4096)
    assert detail('{"bytes": 4096}') == DeviceDetail(7, bytes=4096)
    assert detail('"bytes": 0') == DeviceDetail(7, bytes=0)


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        " ",
        None,
        AttributeError("an older torch"),
        "null",
        "[1, 2]",
        '"bytes"',
        '"bytes": ',
        '"bytes": "many"',
        '"bytes": null, "blocks per SM": null',
        '"bytes": true',
        '"bytes": -1',
        '"bytes": 1e400',
        '"bytes": NaN, "blocks per SM": NaN',
        '"bytes": Infinity, "blocks per SM": Infinity',
        '"bytes": 99999999999999999999',
        '"bytes": [4096], "blocks per SM": {}',
        '"name": "a "quoted" kernel", "bytes": 3',
        '"x": ' + "[" * 100_000,
        "}{",
        '"\ud800": "\0"',
    ],
)
def test_details_that_are_missing_wrong_or_hostile_are_unknown(metadata: Any) -> None:
    assert detail(metadata) == DeviceDetail(stream=7)
