"""The request that is planned, and what of it is held when most bytes are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """As `generate` is called: `batch` prompts of `prompt_tokens`, `new_tokens` after each."""

    batch: int
    prompt_tokens: int
    new_tokens: int = 1
    static_cache: bool = False

    @property
    def cached_tokens(self) -> int:
        """The cache's length after the last decode step: the last new token is not put through the model.

        One step is planned also where a single token is asked for, which needs none.
        """
        return self.prompt_tokens + max(self.new_tokens - 1, 1)


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes beyond the weights at the moment at which most are held."""

    kv_cache: int
    activations: int
    """Outlive the call of the module that they were made in, the logits included."""
    temporaries: int
    tensors: int
    """Inputs, and the scores that the next token is chosen from."""
    logits: int = 0
    """Of `activations`."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.kv_cache + self.activations + self.temporaries + self.tensors


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a device's caching allocator has taken by the end of each phase, weights included, in bytes."""

    load: int
    prefill: int
    decode: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a request needs beyond the weights. All in bytes."""

    prefill: Peak
    decode: Peak
    kv_bytes: int
    """The cache after the last decode step."""
    kv_bytes_per_token: float
    """Of one sequence, over all layers, averaged over the tokens of the prompt."""
    method: str
    """`simulation` or `formula`."""
    reserved: Reserved | None = None
    """None on a CPU, and where it is not simulated."""
