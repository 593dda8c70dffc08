"""What torch's CUDA allocator says when it refuses memory: the exception's own text is rounded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Refusal:
    """One request that the allocator could not meet, at that instant."""

    device: int
    requested_bytes: int
    """What it asked the driver for: a tensor of 1 MiB or more is rounded up to 2 MiB."""
    limit_bytes: int
    """The device's memory, or the part of it that `set_per_process_memory_fraction` allows."""
    free_bytes: int
    """Of the device, by all processes."""
    allocated_bytes: int
    reserved_bytes: int


@dataclass(slots=True)
class Refusals:
    """Remembers the last refusal of this process."""

    last: Refusal | None = None

    def note(self, device: int, requested: int, limit: int, free: int) -> None:
        """The allocator calls this without its lock, before it raises."""
        try:
            stats: dict[str, Any] = torch.cuda.memory_stats(device)
            use = (stats["allocated_bytes.all.current"], stats["reserved_bytes.all.current"])
            self.last = Refusal(device, requested, limit, free, *use)
        except Exception:  # it would take the place of the program's own exception
            self.last = None


@lru_cache(maxsize=1)
def device_refusals() -> Refusals:
    """The process' one observer: torch can attach but not detach them.

    Attached when CUDA is initialised, and never makes it so: a context costs seconds and memory.
    """
    found = Refusals()
    attach = getattr(torch._C, "_cuda_attach_out_of_memory_observer", None)
    when_initialized = getattr(torch.cuda, "_lazy_call", None)
    if attach is not None and when_initialized is not None:

        def attach_now() -> None:
            try:
                attach(found.note)
            except Exception:  # another allocator, which takes no observers; the text must do
                found.last = None

        when_initialized(attach_now)
    return found
