"""What a variant is: one change of how a model is loaded or run, and what it promises of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llmflame.lab.trial import Engine

Phase = Literal["load", "prefill", "decode"]
"""Which part of a run it is meant to make faster or smaller."""
Equality = Literal["bitwise", "equivalent", "approximate"]
"""What it promises of the outputs.

`bitwise`: the same numbers are computed in the same order, so logits are equal bit by bit.
`equivalent`: the same sums in another order: in float32 a trained model's greedy tokens are the same; in
lower precision logits differ by rounding.
`approximate`: other numbers are computed with (fewer bits, fewer columns): compared by KL divergence and
perplexity, never called equal.
"""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a variant's refusal may depend on; plain data, see `lab/circumstances.py`."""

    engine: Engine
    device: Literal["cpu", "cuda"]
    dtype: str
    """That the trial loads before any variant."""
    batch: int
    torch: tuple[int, int]
    """Major and minor version."""
    capability: tuple[int, int] | None
    """CUDA compute capability of the device; None on a CPU."""
    cpu_flags: frozenset[str]
    """As Linux names them: `avx512_bf16`, `amx_tile`; empty where unknown."""
    physical_cores: int
    logical_cpus: int
    modules: frozenset[str]
    """Of the optional ones in `OPTIONAL_MODULES`, those that are installed."""
    compiler: bool
    """Whether torch.compile finds a C++ compiler."""
    architecture: str | None = None
    """Of the checkpoint: `LlamaForCausalLM`."""


OPTIONAL_MODULES = ("triton", "optimum", "hqq", "flash_attn")

Apply = Callable[[Any], None]
"""Changes a `ScratchSetup` or a `HubSetup`, before anything is loaded."""
Refusal = Callable[[Circumstances], str | None]


def never(_circumstances: Circumstances) -> str | None:
    """No reason against it anywhere."""
    return None


@dataclass(frozen=True, slots=True)
class Variant:
    """One change. Its name is what people type."""

    name: str
    changes: str
    """What it changes, one sentence."""
    helps: str
    """Why that helps, and where it doesn't, one sentence or two."""
    phases: tuple[Phase, ...]
    equality: Equality
    slot: str
    """Variants of one slot exclude each other: `cache`, `attention`, `projections`, `weights`, ..."""
    apply: Mapping[Engine, Apply]
    """By the engines that it applies to."""
    refusal: Refusal = never
    """Why this machine, torch or model can't do it: one line, or None."""
    fills: tuple[str, ...] = ()
    """Further slots that it takes: `compile-reduce-overhead` captures graphs itself."""
    needs: tuple[str, ...] = ()
    """Names of variants or slots that must be there beside it: a CUDA graph needs a cache of fixed size."""

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that it applies to."""
        return tuple(self.apply)
