"""What an experiment is asked to find out: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmflame.analysis.experiment.speedup import LEAST_ROUNDS
from llmflame.errors import UsageError
from llmflame.lab.trial import Engine

DTYPES = ("float32", "bfloat16", "float16")
LEAST_NEW_TOKENS = 2
"""A token after the first: without it there is no TPOT."""


@dataclass(frozen=True, slots=True)
class LabOrder:
    """One experiment. `rows` are sets of variants, each by engine and names."""

    model: str
    rows: tuple[tuple[Engine, tuple[str, ...]], ...]
    """What is compared with the stock model. Of a ladder: the variants that it may add, one each."""
    engine: Engine = "transformers"
    """What a ladder begins with."""
    ladder: bool = False
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: str = "float32"
    batches: tuple[int, ...] = (1,)
    prompt_tokens: int = 16
    new_tokens: int = 128
    rounds: int = 5
    warmups: int = 2
    repetitions: int = 3
    """Measured requests of a process."""
    threads: int | None = None
    seed: int = 0
    time_limit_s: float = 600.0
    profiles: bool = True

    def check(self, context_tokens: int | None) -> None:
        """Raise UsageError for what can't be run, before anything is."""
        if self.dtype not in DTYPES:
            raise UsageError(f"--dtype {self.dtype}: there are {', '.join(DTYPES)}")
        for name, value, least in (
            ("--rounds", self.rounds, LEAST_ROUNDS),
            ("--prompt-tokens", self.prompt_tokens, 1),
            ("--new-tokens", self.new_tokens, LEAST_NEW_TOKENS),
            ("--repetitions", self.repetitions, 1),
            ("--threads", 1 if self.threads is None else self.threads, 1),
            *(("--batch", batch, 1) for batch in self.batches),
        ):
            if value < least:
                raise UsageError(f"{name} {value}: at least {least}")
        if not self.time_limit_s > 0:
            raise UsageError(f"--time-limit {self.time_limit_s:g}: a number of seconds above 0")
        if self.ladder and len(self.batches) > 1:
            raise UsageError("--ladder goes with one batch size: what pays differs from one to the next")
        needed = self.prompt_tokens + self.new_tokens
        if context_tokens is not None and needed > context_tokens:
            raise UsageError(
                f"{self.prompt_tokens:,} prompt tokens and {self.new_tokens:,} new ones are more than the "
                f"{context_tokens:,} that the model can look at"
            )
