"""What the machine says of itself around the measured requests: clocks, temperature, energy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from llmflame.lab.trial import Reading

_THROTTLE = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "temperature (driver)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}
"""NVML's reasons for lower clocks; being idle and a person's own setting are none."""
_JOULE_OF_MILLIJOULE = 1e-3
_JOULE_OF_MICROJOULE = 1e-6
_MHZ_OF_KHZ = 1e-3


class Meter(Protocol):
    """One device's."""

    source: str | None
    """Of energy: `NVML`, `RAPL`; None where nobody tells."""

    def read(self, when: Literal["before", "after"]) -> Reading:
        """Clocks and temperature now."""

    def joules(self) -> float | None:
        """A count that only its differences mean something of."""


class CpuMeter:
    """Linux's files; where there are none everything is None."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._zones = list(_packages(root / "sys/class/powercap"))
        self._before: dict[Path, int] = {}
        self._passed = 0.0
        self.source = "RAPL" if self._zones and self.joules() is not None else None

    def read(self, when: Literal["before", "after"]) -> Reading:
        """The fastest core's clock, and the hottest sensor."""
        cores = (self._root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
        clocks = [value * _MHZ_OF_KHZ for path in cores if (value := _number(path)) is not None]
        top = _number(self._root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
        return Reading(
            when,
            clock_mhz=max(clocks) if clocks else self._clock_of_cpuinfo(),
            max_clock_mhz=None if top is None else top * _MHZ_OF_KHZ,
            temperature_celsius=self._temperature(),
            throttled=None,
        )

    def joules(self) -> float | None:
        """Of all packages; a counter that has begun anew is followed, if it is read often enough."""
        if not self._zones:
            return None
        for zone in self._zones:
            now, span = _number(zone / "energy_uj"), _number(zone / "max_energy_range_uj") or 0
            if now is None:
                return None
            passed = now - self._before.get(zone, now)
            self._passed += (passed if passed >= 0 else passed + span) * _JOULE_OF_MICROJOULE
            self._before[zone] = now
        return self._passed

    def _clock_of_cpuinfo(self) -> float | None:
        with contextlib.suppress(OSError, ValueError):
            lines = (self._root / "proc/cpuinfo").read_text("utf-8", "replace").splitlines()
            clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
            return max(clocks, default=None)
        return None

    def _temperature(self) -> float | None:
        zones = (self._root / "sys/class/thermal").glob("thermal_zone*/temp")
        return max((value / 1000 for path in zones if (value := _number(path)) is not None), default=None)


class CudaMeter:
    """NVML's answers for the device that torch uses. Raises OSError where NVML can't be asked."""

    def __init__(self, nvml: Any, uuid: str) -> None:
        self._nvml = nvml
        try:
            nvml.nvmlInit()
            self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        except nvml.NVMLError as error:
            raise OSError(None, str(error)) from error
        self.source = "NVML" if self.joules() is not None else None

    def read(self, when: Literal["before", "after"]) -> Reading:
        """The clock of the multiprocessors, and why it is lowered."""
        nvml, reasons = self._nvml, self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        words = None
        if reasons is not None:
            words = ", ".join(text for bit, text in _THROTTLE.items() if reasons & bit)
        return Reading(
            when,
            clock_mhz=self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            max_clock_mhz=self._ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM),
            temperature_celsius=self._ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            throttled=words,
        )

    def joules(self) -> float | None:
        """Since the driver was loaded."""
        found = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if found is None else found * _JOULE_OF_MILLIJOULE

    def _ask(self, question: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, question)(self._handle, *arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None


def meter(device: Literal["cpu", "cuda"]) -> Meter:
    """Of the device that a trial runs on; the CPU's where a GPU's can't be asked."""
    if device == "cuda":
        with contextlib.suppress(OSError, ImportError):
            import pynvml
            import torch

            return CudaMeter(pynvml, f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        return _Silent()
    return CpuMeter()


class _Silent:
    """A device that can't be asked."""

    source: str | None = None

    def read(self, when: Literal["before", "after"]) -> Reading:
        """Nothing."""
        return Reading(when, None, None, None, None)

    def joules(self) -> float | None:
        """Unknown."""
        return None


def _packages(powercap: Path) -> Iterator[Path]:
    """RAPL's zones of whole packages: their parts are counted in them already."""
    for zone in sorted(powercap.glob("intel-rapl:*")):
        with contextlib.suppress(OSError):
            if zone.name.count(":") == 1 and (zone / "name").read_text("utf-8").startswith("package"):
                yield zone


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
