"""Loading onto a device through page-locked buffers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from llmflame.scratch import checkpoint
from llmflame.scratch.model import LanguageModel

_BUFFERS = 2


class Pipe:
    """Copies tensors to a device; a buffer is filled again when what was in it has arrived."""

    def __init__(self, largest: int, device: str) -> None:
        self._device = device
        self._buffers = [torch.empty(largest, dtype=torch.uint8, pin_memory=True) for _ in range(_BUFFERS)]
        self._events = [torch.cuda.Event() for _ in range(_BUFFERS)]  # type: ignore[no-untyped-call]
        self._next = 0

    def send(self, tensor: Tensor) -> Tensor:
        """The copy, which may still be on its way: work on the current stream waits for it."""
        slot, self._next = self._next, (self._next + 1) % _BUFFERS
        self._events[slot].synchronize()
        staged = self._buffers[slot][: tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        staged.copy_(tensor)
        made = torch.empty_like(tensor, device=self._device)
        made.copy_(staged, non_blocking=True)
        self._events[slot].record()
        return made


def load(folder: Path, dtype: str, device: str) -> LanguageModel:
    """As `scratch.checkpoint.load`, onto a CUDA device. Raises a ScratchError."""
    # The file is mapped, not read: its pages come in as they are copied into a buffer.
    model = checkpoint.load(folder, dtype, "cpu")
    parameters = list(model.parameters())
    pipe = Pipe(max(parameter.nbytes for parameter in parameters), device)
    for parameter in parameters:
        parameter.data = pipe.send(parameter.data)
    torch.cuda.synchronize()
    return model.to(device)
