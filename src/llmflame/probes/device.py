"""The device that the model runs on: memory and synchronisation, the same calls on CPU and CUDA."""

from __future__ import annotations

from typing import NamedTuple

import torch

from llmflame.probes.spans import DeviceMemory


def cuda_in_use() -> bool:
    """Has this process a CUDA context? Asking makes none."""
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def devices_in_use() -> list[int]:
    """The CUDA devices that torch's allocator holds memory of; work on any other would make its context."""
    if not cuda_in_use():
        return []
    return [device for device in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(device)]


def synchronize() -> None:
    """Wait for all devices that this process uses."""
    for device in devices_in_use():
        torch.cuda.synchronize(device)


PREFIX_KERNELS = 8
"""A tracer may lose the first kernels of a session, and asks for its first buffers when they are launched:
these go before the window opens."""


def launch_prefix() -> None:
    """Run a few kernels, a copy and a wait that nobody needs, on each device that this process uses."""
    for device in devices_in_use():
        number = torch.zeros(1, device=f"cuda:{device}")
        for _ in range(PREFIX_KERNELS):
            number.add_(1)
        number.item()
    synchronize()


def allocated_bytes() -> int | None:
    """Bytes that torch's allocator has given out on all devices; None where none is used."""
    if not cuda_in_use():
        return None
    return sum(int(torch.cuda.memory_allocated(device)) for device in range(torch.cuda.device_count()))


class AllocatorUse(NamedTuple):
    """Bytes of a device in the hands of torch's allocator."""

    allocated_bytes: int
    reserved_bytes: int


class Device:
    """Wraps what differs between a CPU and a CUDA device. `name` is torch's: `cpu`, `cuda`, `cuda:1`."""

    def __init__(self, name: str) -> None:
        self._device = torch.device(name)
        self.is_cuda = self._device.type == "cuda"

    def synchronize(self) -> None:
        """Wait until the device has done what was asked of it."""
        if self.is_cuda:
            torch.cuda.synchronize(self._device)

    def _in_use(self) -> bool:
        return self.is_cuda and cuda_in_use()

    def reset_peak(self) -> None:
        """Start a new peak of allocated device memory."""
        if self._in_use():
            torch.cuda.reset_peak_memory_stats(self._device)

    def allocator(self) -> AllocatorUse | None:
        """What torch's allocator holds now; None where it holds nothing of a device."""
        if not self._in_use():
            return None
        return AllocatorUse(
            torch.cuda.memory_allocated(self._device), torch.cuda.memory_reserved(self._device)
        )

    def memory(self) -> DeviceMemory:
        """Bytes that torch's allocator has given out now and at most since the last reset."""
        if not self._in_use():
            return DeviceMemory()
        return DeviceMemory(
            torch.cuda.memory_allocated(self._device), torch.cuda.max_memory_allocated(self._device)
        )
