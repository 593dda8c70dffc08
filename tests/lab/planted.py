"""Variants that are planted to be found out, and the worker that runs them: a program of its own for tests.

`python -m tests.lab.planted SPEC.json` does what `llmflame.lab.worker` does, with a catalogue of its own. Its
model is a table of logits, its speed a known amount of work: what is compared is real processes, not a model.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmflame.errors import UsageError
from llmflame.lab.trial import Reading, Request, TrialResult, TrialSpec
from llmflame.lab.variants.variant import Equality, Variant

VOCABULARY = 300
"""As many as the tiny checkpoint has."""
STEP_NS = 2_000_000
MIB = 1 << 20


def planted(name: str, equality: Equality = "equivalent", slot: str | None = None, **more: object) -> Variant:
    """A variant that the worker below knows by its name."""
    return Variant(
        name,
        "Planted.",
        "Planted.",
        ("decode",),
        equality,
        slot or name,
        {"transformers": lambda _: None, "scratch": lambda _: None},
        **more,  # type: ignore[arg-type]
    )


VARIANTS = (
    planted("wrong"),
    planted("nothing"),
    planted("slow"),
    planted("fast"),
    planted("fast-too"),
    planted("hungry"),
    planted("crash"),
    planted("kill"),
    planted("hang"),
    planted("recompile"),
    planted("impossible"),
    planted("rounded", "approximate"),
    planted("ruined", "approximate"),
    planted("bits", "bitwise"),
    planted("unsteady"),
    planted("hot"),
)
SPEED = {
    "wrong": 0.5,
    "slow": 1.5,
    "fast": 0.5,
    "fast-too": 0.8,
    "recompile": 1.6,
    "ruined": 0.5,
    "rounded": 0.5,
}


class Planted:
    """A catalogue of these alone."""

    def __init__(self, variants: Sequence[Variant] = VARIANTS) -> None:
        self.variants = variants

    def find(self, name: str) -> Variant:
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise UsageError(f"there is no variant {name}")

    def chosen(self, names: Iterable[str]) -> tuple[Variant, ...]:
        found = tuple(self.find(name) for name in names)
        slots = [variant.slot for variant in found]
        if len(set(slots)) < len(slots):
            raise UsageError("they exclude each other")
        for variant in found:
            if not set(variant.needs) <= set(slots):
                raise UsageError(f"{variant.name} needs more")
        return found


def logits_for(ids: NDArray[np.int64], variants: Sequence[str], dtype: str) -> NDArray[np.float32]:
    """What follows each token, [..., V]: the same for everybody, and then what a variant does to it."""
    table = np.random.default_rng(0).normal(0, 3, (VOCABULARY, VOCABULARY)).astype(np.float32)
    if "wrong" in variants:
        table = np.roll(table, 1, axis=1)
    if "fast" in variants:
        table = table * np.float32(1 + 1e-6)
    noise = 0.05 if "rounded" in variants else 2.0 if "ruined" in variants else 0.0
    if dtype == "bfloat16":
        noise = max(noise, 0.02)
    if noise:
        table = table + np.random.default_rng(1).normal(0, noise, table.shape).astype(np.float32)
    return np.asarray(table[ids], np.float32)


def generated(spec: TrialSpec, process: int = 0) -> NDArray[np.int64]:
    """Greedy tokens, [B, N], from a prompt that the seed alone decides."""
    last = np.random.default_rng(spec.seed).integers(0, VOCABULARY, spec.batch)
    tokens = []
    for _ in range(spec.new_tokens):
        last = logits_for(last, spec.variants, spec.dtype).argmax(axis=-1)
        tokens.append(last)
    out = np.stack(tokens, axis=1)
    if "unsteady" in spec.variants and process:
        out[0, -1] = (out[0, -1] + process) % VOCABULARY
    return out


def answer(spec: TrialSpec, *, step_ns: float, process: int = 0) -> TrialResult:
    """Everything of a trial but how long it took; writes its arrays."""
    folder = Path(spec.folder)
    if "impossible" in spec.variants:
        return TrialResult("skipped", "needs a device of another kind")
    np.save(folder / "tokens.npy", generated(spec, process))
    logits = None
    if spec.forced is not None:
        ids = np.load(spec.forced) % VOCABULARY
        np.save(
            folder / "logits.npy", logits_for(ids[:, spec.prompt_tokens - 1 : -1], spec.variants, spec.dtype)
        )
        logits = str(folder / "logits.npy")
    wall = int(step_ns * spec.new_tokens)
    request = Request(int(step_ns), [int(step_ns)] * (spec.new_tokens - 1), wall)
    return TrialResult(
        "done",
        load_ns=int(10 * step_ns),
        warmup_ns=[3 * wall] * spec.warmups,
        requests=[request] * spec.repetitions,
        recompilations=spec.repetitions if "recompile" in spec.variants else None,
        tokens=str(folder / "tokens.npy"),
        logits=logits,
        weight_bytes=100 * MIB,
        step_bytes=100.0 * MIB,
        step_flop=1e6,
        peak_host_bytes=(800 if "hungry" in spec.variants else 400) * MIB,
        energy_joule=0.5 * spec.repetitions,
        energy_source="RAPL",
        readings=[
            Reading("after", 1000.0 if "hot" in spec.variants and process == 2 else 2000.0, 3000.0, 60.0, "")
        ],
        versions={"torch": "2.0.0"},
    )


def speed(variants: Iterable[str]) -> float:
    """Times the stock model's time."""
    factor = 1.0
    for name in variants:
        factor *= SPEED.get(name, 1.0)
    return factor


def main() -> None:
    spec = TrialSpec.from_json(Path(sys.argv[1]).read_text("utf-8"))
    if "crash" in spec.variants:
        raise RuntimeError("planted to crash")
    if "kill" in spec.variants:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in spec.variants:
        # Something that it started must not outlive it either.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (Path(spec.folder).parent / "hanging.pid").write_text(str(child.pid))
        time.sleep(600)
    steps = []
    for _ in range(5):
        begin = time.perf_counter_ns()
        time.sleep(STEP_NS * speed(spec.variants) / 1e9)
        steps.append(time.perf_counter_ns() - begin)
    result = answer(spec, step_ns=sorted(steps)[2])
    Path(spec.folder, "result.json").write_text(replace(result).to_json(), "utf-8")


if __name__ == "__main__":
    main()
