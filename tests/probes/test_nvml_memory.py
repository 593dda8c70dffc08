"""A GPU's memory through a stand-in for NVML."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llmflame.probes.nvml_memory import DeviceMemoryGauge, visible_device

PID = 41
RESERVED = 645
"""For driver and firmware."""


class FakeNvml:
    """Two GPUs; the process runs on the second."""

    UUIDS = ("GPU-aaaa-1", "GPU-bbbb-2")
    NVMLError = RuntimeError
    nvmlMemory_v2 = 2
    is_old = False

    def __init__(self, *, lists: bool = True, refuses: str = "") -> None:
        self.open = 0
        self.asked = 0
        self._lists, self._refuses = lists, refuses

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:
        return self.UUIDS[handle].encode()

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index > 1:
            raise RuntimeError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        return self.UUIDS.index(uuid)

    def nvmlDeviceGetMemoryInfo(self, handle: int, version: int | None = None) -> Any:
        self.asked += 1
        if version is None:
            return SimpleNamespace(used=RESERVED + 1000 + handle)
        if self.is_old:
            raise self.NVMLError("Function Not Found")
        return SimpleNamespace(used=1000 + handle, reserved=RESERVED)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        if self._refuses:
            raise RuntimeError(self._refuses)
        own = [SimpleNamespace(pid=PID, usedGpuMemory=77)] if self._lists and handle == 1 else []
        return [SimpleNamespace(pid=7, usedGpuMemory=5), *own]


def clock() -> int:
    """Stands still: no question costs anything."""
    return 0


def gauge(nvml: FakeNvml, device: str, told: list[str]) -> DeviceMemoryGauge:
    return DeviceMemoryGauge(PID, device, told.append, nvml=nvml, clock_ns=clock)


@pytest.mark.parametrize("device", ["1", "GPU-bbbb-2", "GPU-b"])
def test_the_devices_bytes_and_the_process_own(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml, told = FakeNvml(), list[str]()
    values: dict[str, int] = {}
    read = gauge(nvml, device, told)
    read.read(values)
    read.close()
    assert values == {"device_used_bytes": 1001, "device_process_bytes": 77}
    assert (nvml.open, told) == (0, [])


def test_a_process_that_is_not_listed_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    told: list[str] = []
    values: dict[str, int] = {}
    read = gauge(FakeNvml(lists=False), "1", told)
    read.read(values)
    assert values == {"device_used_bytes": 1001}
    read.close()
    assert told == ["NVML: device_process_bytes: the process is not listed by its number here"]


def test_one_refused_question_leaves_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    told: list[str] = []
    values: dict[str, int] = {}
    read = gauge(FakeNvml(refuses="Not Supported"), "0", told)
    for _ in range(3):
        read.read(values)
    read.close()
    assert values == {"device_used_bytes": 1000}
    assert told == ["NVML: device_process_bytes: not supported"]


def test_a_device_that_is_not_there_is_told_in_the_drivers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = FakeNvml()
    with pytest.raises(OSError, match="Invalid Argument"):
        gauge(nvml, "5", [])
    assert nvml.open == 0


def test_a_slow_answer_is_asked_for_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some drivers take milliseconds, in which the program's own calls may have to wait."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml, now, told = FakeNvml(), [0], list[str]()

    def ticking() -> int:
        now[0] += 1000
        return now[0]

    read = DeviceMemoryGauge(PID, "0", told.append, nvml=nvml, clock_ns=ticking)
    read.read({})
    first = nvml.asked
    read.read({})
    assert nvml.asked == first == 1
    now[0] += 100_000
    read.read({})
    assert nvml.asked == 2


@pytest.mark.parametrize(
    ("device", "visible", "outside"),
    [
        ("1", None, "1"),
        ("0", "3,1", "3"),
        ("1", " GPU-aaaa , GPU-bbbb", "GPU-bbbb"),
        ("0", "MIG-1-2-3", "MIG-1-2-3"),
        ("GPU-cc", "0", "GPU-cc"),
    ],
)
def test_a_device_by_what_the_program_sees(device: str, visible: str | None, outside: str) -> None:
    assert visible_device(device, visible) == outside


@pytest.mark.parametrize(("device", "visible"), [("0", ""), ("0", "-1"), ("2", "0,1"), ("1", "0,-1,1")])
def test_a_device_that_the_program_does_not_see(device: str, visible: str) -> None:
    with pytest.raises(OSError, match=f"no device {device}"):
        visible_device(device, visible)


def test_an_older_driver_counts_what_it_keeps_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = FakeNvml()
    nvml.is_old = True
    values: dict[str, int] = {}
    gauge(nvml, "0", []).read(values)
    assert values["device_used_bytes"] == RESERVED + 1000
