"""What is run: the prompt and how many tokens follow it. Plain data, so that a child process can be told."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from types import NoneType
from typing import Any

from llmflame.errors import UsageError

DEFAULT_PROMPT = "Explain in a few sentences how a language model turns a prompt into text."
DEFAULT_NEW_TOKENS = 64
SEEDS = range(-(2**63), 2**64)
"""What torch takes as a seed."""
GAUGE_INTERVALS_MS = (1, 1000)
"""Reading more often would take a noticeable part of a CPU, more seldom miss what a step holds."""

_TEXT = "text"
_WHOLE = "a whole number"
_FLAG = "True or False"
_NUMBER = "a number"
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "prompt": ((str, NoneType), _TEXT),
    "prompt_tokens": ((int, NoneType), _WHOLE),
    "new_tokens": ((int,), _WHOLE),
    "batch_size": ((int,), _WHOLE),
    "repetitions": ((int,), _WHOLE),
    "sample": ((bool,), _FLAG),
    "stop_at_eos": ((bool,), _FLAG),
    "dtype": ((str,), _TEXT),
    "device": ((str,), _TEXT),
    "seed": ((int,), _WHOLE),
    "gauge_interval_ms": ((int, float), _NUMBER),
}

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class Workload:
    """One request, repeated. Exactly `new_tokens` tokens follow the prompt unless `stop_at_eos`."""

    prompt: str | None = DEFAULT_PROMPT
    prompt_tokens: int | None = None
    """Instead of a text: make one of exactly this many tokens."""
    new_tokens: int = DEFAULT_NEW_TOKENS
    batch_size: int = 1
    repetitions: int = 3
    sample: bool = False
    stop_at_eos: bool = False
    dtype: str = "auto"
    device: str = "auto"
    """torch's name; `auto` is CUDA where torch can use it."""
    seed: int = 0
    gauge_interval_ms: float = 10.0
    """How often the process' memory is read from outside."""

    def check(self, context_tokens: int | None) -> None:
        """Raise UsageError for what can't be run, before anything is."""
        self._check_kinds()
        for name in ("new_tokens", "batch_size", "repetitions"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}")
        if self.prompt_tokens is not None and self.prompt_tokens < 1:
            raise UsageError(f"--prompt-tokens must be at least 1, not {self.prompt_tokens}")
        if self.prompt is not None and not self.prompt:
            raise UsageError("the prompt is empty: give at least one character")
        if not _DEVICE.fullmatch(self.device):
            raise UsageError(f"--device is auto, cpu, cuda or cuda:N, not {self.device[:40]!r}")
        if self.seed not in SEEDS:
            raise UsageError(f"--seed must be from {SEEDS.start} to {SEEDS.stop - 1}, not {self.seed}")
        shortest, longest = GAUGE_INTERVALS_MS
        if not shortest <= self.gauge_interval_ms <= longest:
            raise UsageError(
                f"--gauge-interval must be from {shortest} to {longest} ms, not {self.gauge_interval_ms:g}"
            )
        check_context(self.prompt_tokens or 1, self.new_tokens, context_tokens)

    def _check_kinds(self) -> None:
        for name, (kinds, wanted) in _KINDS.items():
            value = getattr(self, name)
            # True is an int to Python, but nobody's number of tokens.
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                # Its type alone: the value's own text may be many lines.
                found = "None" if value is None else f"of type {type(value).__name__}"
                option = name.removesuffix("_ms").replace("_", "-")
                raise UsageError(f"--{option} must be {wanted}, not {found}")

    def to_dict(self) -> dict[str, Any]:
        """Fields by name."""
        return asdict(self)


def check_context(prompt_tokens: int, new_tokens: int, context_tokens: int | None) -> None:
    """Raise UsageError where prompt and new tokens don't fit the model's context."""
    if context_tokens is not None and prompt_tokens + new_tokens > context_tokens:
        raise UsageError(
            f"{prompt_tokens} prompt + {new_tokens} new tokens are more than the model's context of "
            f"{context_tokens}"
        )
