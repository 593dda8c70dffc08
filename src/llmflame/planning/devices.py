"""Devices that a model can be planned for: this machine's, named ones, and any amount of memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmflame.errors import UsageError
from llmflame.planning.attention import FLASH_CAPABILITY, DeviceKind

GIB = 2**30
_MEASURED = "as torch's out-of-memory messages print it for this device"
_PRINTED = "the data sheet's amount, less what the driver keeps (estimated)"


@dataclass(frozen=True, slots=True)
class Device:
    """Where a model is to run."""

    name: str
    kind: DeviceKind
    total_bytes: int
    capability: tuple[int, int]
    """CUDA's compute capability; (0, 0) for a CPU."""
    source: str
    """Where the amount comes from, in words."""
    estimated: bool = False


def _named(name: str, gib: float, capability: tuple[int, int], source: str = _PRINTED) -> Device:
    return Device(name, "cuda", int(gib * GIB), capability, source, source == _PRINTED)


NAMED = (
    _named("T4 16GB", 14.58, (7, 5), _MEASURED),
    _named("V100 16GB", 15.7, (7, 0)),
    _named("V100 32GB", 31.7, (7, 0)),
    _named("A10 24GB", 21.99, (8, 6), _MEASURED),
    _named("A100 40GB", 39.3, (8, 0)),
    _named("A100 80GB", 79.1, (8, 0)),
    _named("L4 24GB", 22.0, (8, 9)),
    _named("L40S 48GB", 44.42, (8, 9), _MEASURED),
    _named("RTX 3090 24GB", 23.6, (8, 6)),
    _named("RTX 4090 24GB", 23.64, (8, 9), _MEASURED),
    _named("RTX 5090 32GB", 31.3, (12, 0)),
    _named("H100 80GB", 79.1, (9, 0)),
    _named("H100 NVL 94GB", 93.0, (9, 0), _MEASURED),
    Device("H200 141GB", "cuda", 150_754_820_096, (9, 0), "as torch reports it for this device"),
    _named("B200 180GB", 178.0, (10, 0)),
)
"""Amounts that torch can use, which are less than what the name says. MIG parts are other devices."""
_BRANDS = frozenset({"nvidia", "geforce", "tesla", "gpu", "sxm", "pcie", "hbm3"})


def named_device(name: str) -> Device:
    """The device that has every word of `name` in its own, whatever the case.

    Raises UsageError where none has, or more than one.
    """
    wanted = _words(name)
    found = [device for device in NAMED if wanted and wanted <= _words(device.name)]
    exact = [device for device in found if wanted == {w for w in _words(device.name) if w[-2:] != "gb"}]
    if len(found) == 1 or len(exact) == 1:
        return (exact or found)[0]
    known = ", ".join(device.name for device in found or NAMED)
    problem = "names several devices" if found else "names no device that is known here"
    hint = "" if found else "; cpu and cuda are this machine's, --memory takes any amount"
    raise UsageError(f"--device {name[:60]} {problem}: {known}{hint}")


def _words(name: str) -> frozenset[str]:
    joined = re.sub(r"(\d)\s+gb\b", r"\1gb", name.casefold())
    return frozenset(re.split(r"[\s_/-]+", joined.strip())) - _BRANDS - {""}


def present_device(name: str) -> Device | None:
    """This machine's CUDA device by torch's name (`cuda`, `cuda:1`); None where torch sees none.

    Raises UsageError for a number that no device has.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    number = int(name.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: torch sees {torch.cuda.device_count()} CUDA device(s)")
    facts = torch.cuda.get_device_properties(number)
    return Device(facts.name, "cuda", facts.total_memory, (facts.major, facts.minor), "torch")


def host(total_bytes: int, source: str) -> Device:
    """This machine's memory, or as much of it as the process may have."""
    return Device("this machine's CPU", "cpu", total_bytes, (0, 0), source)


def of_size(total_bytes: int, kind: DeviceKind) -> Device:
    """Any amount of memory. A CUDA device is taken to be one that flash attention runs on."""
    if kind == "cpu":
        return Device("a CPU", "cpu", total_bytes, (0, 0), "--memory")
    return Device("a CUDA device", "cuda", total_bytes, FLASH_CAPABILITY, "--memory")
