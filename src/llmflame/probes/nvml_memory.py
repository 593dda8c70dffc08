"""A GPU's memory as NVML sees it: no CUDA context is made, and nothing is asked of the profiled process."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable
from typing import Any

COST_SHARE = 0.02
"""A question is not asked again before its predecessor's cost is this share of the time: the driver
answers some in microseconds and others in milliseconds, and holds a lock that the program's own calls may
wait for."""


class DeviceMemoryGauge:
    """Bytes in use on one GPU, and those of the process `pid` where NVML lists it.

    Raises OSError, in NVML's words, for a device that can't be asked; `tell` is given, in words, what
    turns out later not to be known.
    """

    label = "NVML"
    seldom = False

    def __init__(
        self,
        pid: int,
        device: str,
        tell: Callable[[str], None],
        *,
        nvml: Any = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._nvml = nvml if nvml is not None else _binding()
        self._pid, self._tell, self._clock_ns = pid, tell, clock_ns
        self._listed = self._others_listed = False
        _asked(self._nvml.nvmlInit)
        try:
            self._handle = _asked(lambda: _handle(self._nvml, device))
        except OSError:
            self._shut_down()
            raise
        self._questions = {"device_used_bytes": self._used, "device_process_bytes": self._own}
        self._next_ns = dict.fromkeys(self._questions, 0)

    def read(self, values: dict[str, int]) -> None:
        """Add the gauges that it is time for."""
        for name, question in list(self._questions.items()):
            begin = self._clock_ns()
            if begin < self._next_ns[name]:
                continue
            try:
                value = _asked(question)
            except OSError as error:
                del self._questions[name]
                self._tell(f"{self.label}: {name}: {refusal(error)}")
                continue
            end = self._clock_ns()
            self._next_ns[name] = end + round((end - begin) / COST_SHARE)
            if value is not None:
                values[name] = value

    def close(self) -> None:
        """Let go of the library; say if the process' own bytes stayed unknown though others' were listed."""
        if self._others_listed and not self._listed:
            self._tell(f"{self.label}: device_process_bytes: the process is not listed by its number here")
        self._shut_down()

    def _shut_down(self) -> None:
        with contextlib.suppress(Exception):  # the driver may be gone; nothing is left to release then
            self._nvml.nvmlShutdown()

    def _used(self) -> int | None:
        """The first version of the answer adds what driver and firmware keep for themselves, 615 MiB of an
        H200, which no program can have and torch's total leaves out."""
        version = getattr(self._nvml, "nvmlMemory_v2", None)
        if version is not None:
            with contextlib.suppress(self._nvml.NVMLError):  # of drivers before 510
                return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle, version=version).used)
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used)

    def _own(self) -> int | None:
        for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle):
            if int(process.pid) == self._pid:
                self._listed = True
                used = process.usedGpuMemory  # None where the driver doesn't account for it
                return int(used) if used is not None else None
            self._others_listed = True
        return None


def refusal(error: OSError) -> str:
    """The system's or the driver's words, without path and number."""
    # Not the words of `probes/machine`: importing it takes longer than the helper process needs to start.
    return (error.strerror or str(error)).lower()


def visible_device(device: str, visible: str | None) -> str:
    """What CUDA's device of an index is called outside: an index or a UUID, by `CUDA_VISIBLE_DEVICES`.

    Raises OSError for an index that the program can't see.
    """
    if visible is None or not device.isdecimal():
        return device
    # CUDA itself stops at the first entry that it doesn't understand, e.g. -1.
    names = [name.strip() for name in visible.split(",")]
    shown = names[: next((n for n, name in enumerate(names) if name in ("", "-1")), len(names))]
    if int(device) >= len(shown):
        raise OSError(None, f"CUDA_VISIBLE_DEVICES shows no device {device}")
    return shown[int(device)]


def _handle(nvml: Any, device: str) -> Any:
    name = visible_device(device, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if name.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(name))
    return nvml.nvmlDeviceGetHandleByUUID(_whole_uuid(nvml, name))


def _whole_uuid(nvml: Any, name: str) -> str:
    """CUDA takes a UUID's beginning too, as long as it is one device's alone."""
    if name.startswith("MIG-"):
        return name
    for index in range(int(nvml.nvmlDeviceGetCount())):
        uuid = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index))
        text = uuid.decode() if isinstance(uuid, bytes) else str(uuid)
        if text.startswith(name):
            return text
    return name


def _binding() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise OSError(None, "not installed") from error


def _asked(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except OSError:
        raise
    except Exception as error:
        raise OSError(None, " ".join(str(error).split())[:200] or type(error).__name__) from error
