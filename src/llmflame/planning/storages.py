"""Counting the storages that operators make and give back, without any data in them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle


class StorageMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the size of every storage that appears below it and the moment it is released.

    What exists before (weights) is not counted. `attach` tells it of a model's calls, so that what outlives
    the call it was made in can be told from what doesn't.
    """

    def __init__(self, existing: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[tuple[int, int]] = []
        """Identity of a storage, and its bytes: above 0 where it was made, below 0 where it was released."""
        self.survivors: set[int] = set()
        """Storages that were still held when the module call in which they were made had ended."""
        self.outside: set[int] = set()
        """Storages that were made in no module's call."""
        # Storages that exist before keep their address for as long as their model lives.
        self._known: dict[int, int] = {tensor.untyped_storage()._cdata: -1 for tensor in existing}
        self._calls: list[list[int]] = []
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator and look at what it returns."""
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self._see(result)
        else:
            self.adopt(leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
        return result

    def adopt(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count tensors from now on, whoever made them."""
        for tensor in tensors:
            self._see(tensor)

    def bytes_of(self, identities: set[int]) -> int:
        """The sizes of some storages, released ones included."""
        return sum(size for identity, size in self.events if size > 0 and identity in identities)

    def attach(self, model: torch.nn.Module) -> list[RemovableHandle]:
        """Follow the calls of a model's modules until the hooks that are returned are removed."""
        hooks: list[RemovableHandle] = []
        for module in model.modules():
            hooks.append(module.register_forward_pre_hook(self._enter))
            hooks.append(module.register_forward_hook(self._leave, always_call=True))
        return hooks

    def identities(self, tensors: Iterable[torch.Tensor]) -> set[int]:
        """The storages of some tensors, those that existed before apart."""
        found = {self._known.get(tensor.untyped_storage()._cdata, -1) for tensor in tensors}
        return found - {-1}

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place in self._known:
            return
        identity, size = len(self.events), storage.nbytes()
        self._known[place], self._alive[identity] = identity, size
        self.events.append((identity, size))
        if self._calls:
            self._calls[-1].append(identity)
        else:
            self.outside.add(identity)
        weakref.finalize(storage, self._release, place, identity).atexit = False

    def _release(self, place: int, identity: int) -> None:
        self._known.pop(place, None)
        self.events.append((identity, -self._alive.pop(identity)))

    def _enter(self, module: torch.nn.Module, args: Any) -> None:
        self._calls.append([])

    def _leave(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        self.survivors.update(identity for identity in self._calls.pop() if identity in self._alive)


def live_at_peak(events: Iterable[tuple[int, int]], begin: int, end: int) -> dict[int, int]:
    """The storages that are held when most bytes are, from event `begin` on and before event `end`."""
    everything = list(events)[:end]
    live: dict[int, int] = {}
    total = most = 0
    place = begin
    for number, (_, size) in enumerate(everything):
        total += size
        if number == begin - 1 or (number >= begin and total > most):
            most, place = total, number + 1
    for identity, size in everything[:place]:
        if size >= 0:
            live[identity] = size
        else:
            live.pop(identity, None)
    return live
