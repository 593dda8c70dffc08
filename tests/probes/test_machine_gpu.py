"""GPUs through a stand-in for NVML: two of them, one in MIG mode and refusing some calls."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from llmflame.probes.machine.gpu import gpu_facts


class NvmlError(Exception):
    pass


class FakeNvml:
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2

    def __init__(self) -> None:
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"570.86.15"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 12080

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: object) -> str:
        return "NVIDIA H200" if handle in (0, 1) else f"NVIDIA H200 MIG {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> SimpleNamespace:
        return SimpleNamespace(total=150_000_000_000, free=149_000_000_000, used=1_000_000_000)

    def nvmlDeviceGetMemoryBusWidth(self, handle: int) -> int:
        return 6144

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> tuple[int, int]:
        return 9, 0

    def nvmlDeviceGetNumGpuCores(self, handle: int) -> int:
        return self._unless_mig(handle, 16896)

    def nvmlDeviceGetCurrPcieLinkGeneration(self, handle: int) -> int:
        return 1

    def nvmlDeviceGetMaxPcieLinkGeneration(self, handle: int) -> int:
        return 5

    def nvmlDeviceGetCurrPcieLinkWidth(self, handle: int) -> int:
        return 8

    def nvmlDeviceGetMaxPcieLinkWidth(self, handle: int) -> int:
        return 16

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:
        return self._unless_mig(handle, {1: 345, 2: 2619}[kind])

    def nvmlDeviceGetMaxClockInfo(self, handle: int, kind: int) -> int:
        return {1: 1980, 2: 3201}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        return self._unless_mig(handle, 700_500)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=os.getpid()), SimpleNamespace(pid=os.getpid() + 1)]

    def nvmlDeviceGetEccMode(self, handle: int) -> list[int]:
        return [1, 1]

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:
        return [handle, handle]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, index: int) -> str:
        if index not in (0, 3):
            raise NvmlError("Not Found")
        return f"part {index}"

    def nvmlDeviceGetAttributes(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(multiprocessorCount=16)

    @staticmethod
    def _unless_mig(handle: int, answer: int) -> int:
        if handle == 1:
            raise NvmlError("Not Supported")
        return answer


def test_two_gpus() -> None:
    nvml = FakeNvml()
    facts = gpu_facts(nvml)
    assert nvml.open == 0
    values = {(fact.section, fact.name): fact.value for fact in facts}
    assert values["gpu", "GPUs"] == 2
    assert values["gpu", "driver"] == "570.86.15" and values["gpu", "CUDA version"] == "12.8"
    first = {name: value for (section, name), value in values.items() if section == "gpu 0"}
    assert first == {
        "name": "NVIDIA H200",
        "memory total": 150_000_000_000,
        "memory free": 149_000_000_000,
        "memory bus width": 6144,
        "compute capability": "9.0",
        "SM count": 132,
        "PCIe generation now": 1,
        "PCIe generation max": 5,
        "PCIe width now": 8,
        "PCIe width max": 16,
        "SM clock now": 345,
        "SM clock max": 1980,
        "memory clock now": 2619,
        "memory clock max": 3201,
        "power limit": 700.5,
        "other processes": 1,
        "ECC": True,
        "MIG": False,
    }


def test_mig_parts_and_refused_calls() -> None:
    facts = {fact.name: fact for fact in gpu_facts(FakeNvml()) if fact.section == "gpu 1"}
    assert facts["MIG"].value is True
    assert facts["MIG 0 name"].value == "NVIDIA H200 MIG part 0" and facts["MIG 3 SM count"].value == 16
    assert "MIG 1 name" not in facts
    for name in ("SM count", "SM clock now", "power limit"):
        assert facts[name].value is None and "NvmlError: Not Supported" in facts[name].source
    assert facts["SM clock max"].value == 1980


def test_unknown_compute_capability_has_no_sm_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeNvml, "nvmlDeviceGetCudaComputeCapability", lambda self, handle: (99, 0))
    facts = {fact.name: fact for fact in gpu_facts(FakeNvml()) if fact.section == "gpu 0"}
    assert facts["SM count"].value is None and facts["compute capability"].value == "99.0"


def test_a_gpu_that_cannot_be_opened_leaves_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(self: FakeNvml, index: int) -> int:
        if index == 0:
            raise NvmlError("GPU is lost")
        return index

    monkeypatch.setattr(FakeNvml, "nvmlDeviceGetHandleByIndex", handle)
    facts = gpu_facts(FakeNvml())
    (lost,) = [fact for fact in facts if fact.section == "gpu 0"]
    assert lost.value is None and "GPU is lost" in lost.source
    assert any(fact.section == "gpu 1" and fact.value == "NVIDIA H200" for fact in facts)


def test_an_old_library_without_a_function_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetMemoryBusWidth")
    facts = {fact.name: fact for fact in gpu_facts(FakeNvml()) if fact.section == "gpu 0"}
    assert facts["memory bus width"].value is None and "AttributeError" in facts["memory bus width"].source


def test_no_driver_is_one_clear_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FakeNvml) -> None:
        raise NvmlError("NVML Shared Library Not Found")

    monkeypatch.setattr(FakeNvml, "nvmlInit", refuse)
    (fact,) = gpu_facts(FakeNvml())
    assert fact.section == "gpu" and fact.value is None
    assert fact.source == "nvidia-ml-py: no driver (NVML Shared Library Not Found)"


def test_no_library_is_one_clear_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    (fact,) = gpu_facts()
    assert fact.value is None and fact.source == "nvidia-ml-py: not installed"


def test_a_failing_shutdown_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FakeNvml) -> None:
        raise NvmlError("Uninitialized")

    monkeypatch.setattr(FakeNvml, "nvmlShutdown", refuse)
    assert gpu_facts(FakeNvml())[0].value == 2
