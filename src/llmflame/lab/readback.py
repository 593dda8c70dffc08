"""Reading a step's ids while the next step already runs."""

from __future__ import annotations

import torch
from torch import Tensor


class Readback:
    """Copies ids to the host behind the step that made them, and waits for them one step later.

    On a device whose work is queued, the host then never holds the device up. [B, 1] int64.
    """

    def __init__(self, like: Tensor) -> None:
        self._events = [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]
        self._hosts = [torch.empty(like.shape, dtype=like.dtype, pin_memory=True) for _ in range(2)]
        self._waiting: list[int] = []
        self._next = 0

    def exchange(self, ids: Tensor) -> list[list[list[int]]]:
        """Queue the copy of these; returns those of the step before, if any."""
        slot, self._next = self._next, 1 - self._next
        self._hosts[slot].copy_(ids, non_blocking=True)
        self._events[slot].record()
        before = self.rest()
        self._waiting.append(slot)
        return before

    def rest(self) -> list[list[list[int]]]:
        """What is still on its way, in order."""
        found = []
        for slot in self._waiting:
            self._events[slot].synchronize()
            ids: list[list[int]] = self._hosts[slot].tolist()
            found.append(ids)
        self._waiting.clear()
        return found
