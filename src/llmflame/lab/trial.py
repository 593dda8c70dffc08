"""What one process of an experiment is asked to do, and what it says that it saw. Both travel as JSON.

Times are nanoseconds, sizes bytes. A trial is one fresh process: one engine, one set of variants, one
workload.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Engine = Literal["transformers", "scratch"]
"""Who generates: transformers' `generate`, or the decoder of `llmflame.scratch`."""
Outcome = Literal["done", "skipped", "failed"]
"""`skipped`: the machine or an installed library can't do it; `failed`: it should have, and broke."""


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One trial. `new_tokens` are generated greedily and never stop early: trials do equal work."""

    model: str
    """As `llmflame profile` takes it: `demo`, a folder, a hub id, `dummy:NAME`."""
    engine: Engine
    variants: tuple[str, ...]
    """Names of variants, applied in this order; none is the engine as it comes."""
    device: Literal["cpu", "cuda"]
    dtype: str
    """What weights are loaded as before any variant: `float32`, `bfloat16`, `float16`."""
    batch: int
    prompt_tokens: int
    new_tokens: int
    warmups: int
    """Requests before the measured ones; compilation falls into them."""
    repetitions: int
    threads: int | None
    """Of torch on the CPU; None leaves torch's choice."""
    seed: int
    folder: str
    """Where the trial writes: `result.json`, and what `TrialResult` names."""
    forced: str | None = None
    """A .npy of token ids [batch, tokens], int64: with it the trial also writes the logits that it has for
    them, teacher-forced through the very path that generates (prompt at once, then one token a step)."""
    profile: str | None = None
    """Where to write the trial's profile; None records none. Recorded after, and apart from, the timing."""

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> TrialSpec:
        """The reverse of `to_json`. Raises ValueError or TypeError for anything else."""
        fields: dict[str, Any] = json.loads(text)
        return TrialSpec(**{**fields, "variants": tuple(fields["variants"])})


@dataclass(frozen=True, slots=True)
class Request:
    """One measured request."""

    ttft_ns: int
    """From the request's begin until its first token is on the host."""
    step_ns: list[int]
    """Of each later token, until it is on the host; [new_tokens - 1]. A step that gives several tokens is
    divided evenly among them."""
    wall_ns: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What the device or CPU said of itself at an instant; None where it doesn't tell."""

    when: Literal["before", "after"]
    clock_mhz: float | None
    max_clock_mhz: float | None
    temperature_celsius: float | None
    throttled: str | None
    """Reasons in words; empty where there are none."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a trial saw. Of a skipped or failed one only `outcome` and `reason` say anything."""

    outcome: Outcome
    reason: str = ""
    load_ns: int | None = None
    warmup_ns: list[int] = field(default_factory=list)
    """Of each warm-up request, the first with everything that is compiled."""
    requests: list[Request] = field(default_factory=list)
    recompilations: int | None = None
    """Of torch.compile within the measured requests; None where nothing is compiled."""
    tokens: str | None = None
    """A .npy of the generated ids, [batch, new_tokens], int64."""
    logits: str | None = None
    """A .npy of float32 [batch, forced tokens - prompt tokens, vocabulary]: what follows each of the forced
    tokens from the prompt's last on, but the last."""
    repeatable: bool | None = None
    """Whether every measured request gave the same ids."""
    weight_bytes: int | None = None
    step_bytes: float | None = None
    """Bytes that a decode step must move at least: each weight that it uses once, and the mean KV cache."""
    step_flop: float | None = None
    peak_host_bytes: int | None = None
    peak_device_bytes: int | None = None
    """Reserved by torch's allocator at most, during the measured requests."""
    energy_joule: float | None = None
    """Over the measured requests."""
    energy_source: str | None = None
    """`NVML` or `RAPL`."""
    readings: list[Reading] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    profile_note: str = ""
    """Why the profile that was asked for isn't there, if it isn't."""

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> TrialResult:
        """The reverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        fields: dict[str, Any] = json.loads(text)
        fields["requests"] = [Request(**request) for request in fields["requests"]]
        fields["readings"] = [Reading(**reading) for reading in fields["readings"]]
        return TrialResult(**fields)
