"""NVIDIA GPUs, asked through NVML: that creates no CUDA context and takes no GPU memory."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from llmflame.probes.machine.facts import Value, asked
from llmflame.probes.machine.gpu_mig import mig_facts
from llmflame.probes.machine.outside import why
from llmflame.store.model import Fact

SECTION = "gpu"
LIBRARY = "nvidia-ml-py"
MILLIWATTS_PER_WATT = 1000
# FP32 cores of a multiprocessor (CUDA C++ Programming Guide, "Compute Capabilities"); NVML counts cores.
CORES_PER_SM = {
    (6, 0): 64, (6, 1): 128, (7, 0): 64, (7, 2): 64, (7, 5): 64, (8, 0): 64, (8, 6): 128,
    (8, 7): 128, (8, 9): 128, (9, 0): 128, (10, 0): 128, (10, 3): 128, (12, 0): 128, (12, 1): 128,
}  # fmt: skip
Question = tuple[str, str | None, str, Callable[[Any, Any], Value]]


def gpu_facts(nvml: Any = None) -> list[Fact]:
    """Facts of the driver (section `gpu`) and of each GPU (`gpu 0` ...), or one that says why not."""
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return [_none_known("not installed")]
        except Exception as error:
            return [_none_known(why(error))]
    try:
        nvml.nvmlInit()
    except Exception as error:
        return [_none_known(f"no driver ({_words(error)})")]
    try:
        return _all_facts(nvml)
    finally:
        asked(SECTION, "shutdown", nvml.nvmlShutdown, LIBRARY)


def _none_known(reason: str) -> Fact:
    return Fact(SECTION, "GPUs", None, "GPUs", f"{LIBRARY}: {reason}")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _all_facts(nvml: Any) -> list[Fact]:
    count = asked(SECTION, "GPUs", lambda: int(nvml.nvmlDeviceGetCount()), "nvmlDeviceGetCount", "GPUs")
    facts = [
        count,
        asked(
            SECTION, "driver", lambda: _text(nvml.nvmlSystemGetDriverVersion()), "nvmlSystemGetDriverVersion"
        ),
        asked(SECTION, "CUDA version", lambda: _cuda_version(nvml), "nvmlSystemGetCudaDriverVersion"),
    ]
    for index in range(count.value if isinstance(count.value, int) else 0):
        section = f"{SECTION} {index}"
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except Exception as error:
            facts.append(Fact(section, "name", None, None, f"nvmlDeviceGetHandleByIndex: {_words(error)}"))
            continue
        facts += _device_facts(nvml, handle, section)
        facts += mig_facts(nvml, handle, section)
    return facts


def _device_facts(nvml: Any, handle: Any, section: str) -> list[Fact]:
    return [
        asked(section, name, partial(ask, nvml, handle), source, unit)
        for name, unit, source, ask in _questions()
    ]


def _questions() -> list[Question]:
    def plain(name: str, unit: str | None, function: str, *arguments: str) -> Question:
        def ask(nvml: Any, handle: Any) -> Value:
            answer = getattr(nvml, function)(handle, *(getattr(nvml, argument) for argument in arguments))
            return _text(answer) if isinstance(answer, str | bytes) else int(answer)

        return name, unit, f"{function}({', '.join(arguments)})", ask

    def memory(name: str, field: str) -> Question:
        source = "nvmlDeviceGetMemoryInfo()"
        return name, "bytes", source, lambda n, h: int(getattr(n.nvmlDeviceGetMemoryInfo(h), field))

    def flag(name: str, function: str) -> Question:
        # NVML answers with the current and the pending mode.
        return name, None, f"{function}()", lambda nvml, handle: bool(getattr(nvml, function)(handle)[0])

    return [
        plain("name", None, "nvmlDeviceGetName"),
        memory("memory total", "total"),
        memory("memory free", "free"),
        plain("memory bus width", "bits", "nvmlDeviceGetMemoryBusWidth"),
        ("compute capability", None, "nvmlDeviceGetCudaComputeCapability()", _capability),
        ("SM count", "SMs", "nvmlDeviceGetNumGpuCores / cores per SM of the compute capability", _sm_count),
        plain("PCIe generation now", None, "nvmlDeviceGetCurrPcieLinkGeneration"),
        plain("PCIe generation max", None, "nvmlDeviceGetMaxPcieLinkGeneration"),
        plain("PCIe width now", "lanes", "nvmlDeviceGetCurrPcieLinkWidth"),
        plain("PCIe width max", "lanes", "nvmlDeviceGetMaxPcieLinkWidth"),
        plain("SM clock now", "MHz", "nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
        plain("SM clock max", "MHz", "nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_SM"),
        plain("memory clock now", "MHz", "nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
        plain("memory clock max", "MHz", "nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_MEM"),
        ("power limit", "W", "nvmlDeviceGetEnforcedPowerLimit()", _power_limit_w),
        ("other processes", "processes", "nvmlDeviceGetComputeRunningProcesses()", _other_processes),
        flag("ECC", "nvmlDeviceGetEccMode"),
        flag("MIG", "nvmlDeviceGetMigMode"),
    ]


def _text(answer: str | bytes) -> str | None:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return text.strip() or None


def _cuda_version(nvml: Any) -> str:
    number = int(nvml.nvmlSystemGetCudaDriverVersion())
    return f"{number // 1000}.{number % 1000 // 10}"


def _capability(nvml: Any, handle: Any) -> str:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return f"{int(major)}.{int(minor)}"


def _power_limit_w(nvml: Any, handle: Any) -> float:
    return float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / MILLIWATTS_PER_WATT


def _sm_count(nvml: Any, handle: Any) -> int | None:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    per_sm = CORES_PER_SM.get((int(major), int(minor)))
    cores = int(nvml.nvmlDeviceGetNumGpuCores(handle))
    return cores // per_sm if per_sm and cores > 0 and cores % per_sm == 0 else None


def _other_processes(nvml: Any, handle: Any) -> int:
    """Processes with a context on the GPU, this one apart; a container may be shown none but its own.

    In one of those this process has another number outside: if it uses the GPU, one of the others is it.
    """
    running = {int(process.pid) for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    others = running - {os.getpid()}
    if others == running and _uses_cuda():
        return max(len(others) - 1, 0)
    return len(others)


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())
