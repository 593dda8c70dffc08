"""Trials without processes: a runner with noise as processes have it, and experiments in memory."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from pathlib import Path

from llmflame.lab.order import LabOrder
from llmflame.lab.processes import Ran
from llmflame.lab.rows import read_rows
from llmflame.lab.run import Means, run_experiment
from llmflame.lab.trial import TrialResult, TrialSpec
from llmflame.store.profile import Profile, read_profile
from llmflame.subjects.checkpoint import Checkpoint
from tests.lab.planted import Planted, answer, speed

STEP_NS = 1_000_000.0


@dataclass(slots=True)
class FakeRunner:
    """Answers as the planted worker would, at once."""

    noise: float = 0.0
    """Of the logarithm of a process' time."""
    seen: list[TrialSpec] = field(default_factory=list)
    broken: str | None = None
    """Every trial of this dtype fails."""

    def run(self, spec: TrialSpec) -> Ran:
        process = sum(one.variants == spec.variants for one in self.seen)
        self.seen.append(spec)
        if spec.dtype == self.broken:
            return Ran(TrialResult("failed", "planted"), 1)
        if "crash" in spec.variants:
            return Ran(TrialResult("failed", "ended with exit code 1: RuntimeError: planted to crash"), 1)
        drawn = random.Random(f"{len(self.seen)} {spec.variants}").gauss(0.0, self.noise)
        if spec.profile is not None:
            Path(spec.profile).write_bytes(b"what a profile would be: " + "+".join(spec.variants).encode())
        step = STEP_NS * speed(spec.variants) * (1 + drawn)
        return Ran(answer(spec, step_ns=step, process=process), int(step))


def checkpoint(folder: Path, *, random_weights: bool = False) -> Checkpoint:
    """A folder with a tokeniser and nothing else: no trial loads a model."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {"[UNK]": 0, "the": 1, "and": 2, "a": 3, "of": 4, "to": 5, "was": 6, "that": 7, ".": 8, ",": 9}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return Checkpoint(
        "tiny",
        "tiny",
        folder,
        "planted",
        "TinyForCausalLM",
        100,
        400,
        "float32",
        512,
        (),
        random_weights,
        False,
        False,
    )


def experiment(
    folder: Path,
    rows: str,
    runner: FakeRunner | None = None,
    *,
    random_weights: bool = False,
    **options: object,
) -> Profile:
    """Run one into folder/lab.llmflame and read it."""
    order = LabOrder("tiny", read_rows(rows, "transformers"), new_tokens=8, profiles=False)
    order = dataclasses.replace(order, **options)  # type: ignore[arg-type]
    output = folder / "lab.llmflame"
    means = Means(Planted(), runner=runner or FakeRunner())
    run_experiment(checkpoint(folder, random_weights=random_weights), order, output, means)
    return read_profile(output)
