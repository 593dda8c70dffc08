"""What variants change: how a model will be loaded and run, as plain data until the worker does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from llmflame.scratch.cache import KeyValueCache
    from llmflame.scratch.model import LanguageModel


class Stage(IntEnum):
    """When a change of a loaded model is made; the order in which variants are named doesn't matter."""

    FUSE = 1
    """Weights are joined."""
    REPLACE = 2
    """A function is put in another's place: attention."""
    QUANTISE = 3
    """Weights become fewer bits."""
    LAYOUT = 4
    """Weights are laid out anew, for the kernel that will read them."""


@dataclass(slots=True)
class Setup:
    """Of either engine."""

    device: str
    dtype: str
    """Of weights and activations, in torch's spelling."""
    batch: int
    threads: int | None
    """Of torch on the CPU; None leaves torch's choice."""
    prompt_tokens: int
    new_tokens: int
    changes: list[tuple[Stage, Callable[[Any], None]]] = field(default_factory=list)
    """Made on the loaded model, in place."""
    before_load: list[Callable[[], None]] = field(default_factory=list)
    """Settings of the process: torch's backends, its compiler."""
    kv_element: float | None = None
    """Bytes of an element of the KV cache; None for those of `dtype`."""
    compiles: bool = False
    """Whether torch.compile is at work, so that its recompilations are counted."""

    def change(self, stage: Stage, change: Callable[[Any], None]) -> None:
        """Have a loaded model changed, at that stage."""
        self.changes.append((stage, change))

    def apply_changes(self, model: Any) -> None:
        """Make them all."""
        for _, change in sorted(self.changes, key=lambda pair: pair[0]):
            change(model)


class LabCache(Protocol):
    """A KV cache that is used again for each request, at the same place in memory."""

    length: int
    """Columns in use, as the host counts them."""

    def reserve(self, new: int, device: torch.device) -> tuple[Tensor, int]:
        """As `scratch.cache.KeyValueCache`."""

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """As `scratch.cache.KeyValueCache`."""

    def truncate(self, length: int) -> None:
        """Forget all columns from `length` on; 0 begins anew."""

    def fix(self, fixed: bool) -> None:
        """Whether `update` returns all columns, so that shapes never change, or those in use alone."""

    def advance(self, new: int) -> None:
        """The host's count of a step that a replay made: `reserve` itself wasn't called."""


@dataclass(frozen=True, slots=True)
class Room:
    """All that a step of the scratch engine works with."""

    model: LanguageModel
    cache: KeyValueCache
    padding: Tensor
    """[B], zeros: prompts of a trial have one length."""
    capacity: int
    """Columns that a request needs."""


Step = Callable[["Tensor"], "tuple[Tensor, Tensor]"]
"""New tokens [B, T] to what follows each: logits [B, T, V] and the greedy ids [B, T]."""


@dataclass(slots=True)
class ScratchSetup(Setup):
    """How the decoder of `scratch` is loaded and run."""

    load: Callable[[Path, str, str], LanguageModel] | None = None
    """(folder, dtype, device) to a model, in place of scratch's own."""
    cache: Callable[[LanguageModel, int, int], LabCache] | None = None
    """(model, rows, capacity); None for scratch's growing one, made anew for each request."""
    kernels: Callable[[Room], Step] | None = None
    """What computes a decode step; None for the model's own modules."""
    prefill: Callable[[Room], Step] | None = None
    """What computes the prompt, logits of its last token alone; None for the model's own modules. It needs a
    cache that is kept."""
    compile: Callable[[Step, Room], Step] | None = None
    """Compiles a decode step."""
    capture: Callable[[Step, Room], Step] | None = None
    """Captures what is left of it as a graph."""
    prefill_chunk: int | None = None
    """Tokens of the prompt that are computed at once."""
    speculate: Callable[[LanguageModel, Path], Drafter] | None = None
    """Who guesses tokens that a step then checks."""
    run_ahead: bool = False
    """Start the next step before the last one's token is read."""


class Drafter(Protocol):
    """Guesses the tokens that come next."""

    count: int
    """Of tokens in a guess."""

    def begin(self, prompt: list[int]) -> None:
        """A request of one row begins."""

    def draft(self, tokens: list[int]) -> list[int]:
        """What may follow `tokens` (prompt and all that was generated): `count` ids, or none."""


@dataclass(slots=True)
class HubSetup(Setup):
    """How transformers loads and generates: options that it offers publicly."""

    load_options: dict[str, Any] = field(default_factory=dict)
    """Of `from_pretrained`."""
    generate_options: dict[str, Any] = field(default_factory=dict)
    """Of `generate`."""
    after_load: list[Callable[[Any, Setup], None]] = field(default_factory=list)
    """Given the model and this."""
