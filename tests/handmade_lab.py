"""An experiment with known numbers, made row by row: a ladder-free one of three batch sizes, or a ladder."""

from __future__ import annotations

from pathlib import Path

from llmflame.store.lab_rows import AgreementRow, EqualityClass, LabRequestRow, LabRow, TrialRow
from llmflame.store.model import Fact
from llmflame.store.writer import ProfileWriter
from tests.handmade import FACTS, MIB, SUBJECT, handmade

MS = 1_000_000
ROUNDS = 5
REPETITIONS = 2
NEW_TOKENS = 10
NOISE = (0.0, 0.02, -0.01, 0.01, -0.02)
"""Of each round's processes, drawn from another place for each row."""
STEP_MS = {"stock": 10.0, "sdpa": 8.0, "static-cache": 9.9, "static-cache+compile": 4.0, "int8": 5.0}
"""At batch 1; `int8` doesn't pay at larger ones."""
PEAK_MIB = {"static-cache+compile": 900, "int8": 250}
CEILING = Fact("ceilings", "host copy", 40e9, "bytes/s", "here")


def handmade_lab(
    path: Path, *, batches: tuple[int, ...] = (1, 4), ladder: bool = False, profiles: bool = True
) -> Path:
    """Write it. Rows `broken`, `wrong` and `impossible` failed, disagree and were skipped."""
    writer = ProfileWriter(path, version="1.2.3", mode="lab")
    writer.facts([*FACTS, CEILING])
    subject = {name: value for name, value in SUBJECT.items() if name != "batch_size"}
    writer.subject({**subject, "prompt_tokens": 16, "new_tokens": NEW_TOKENS, "rounds": ROUNDS})
    writer.subject({"warmups": 2, "repetitions": REPETITIONS, "random_weights": False, "ladder": ladder})
    number = 0
    for batch in batches:
        for name in (*STEP_MS, "wrong", "broken", "impossible"):
            _row(writer, name, batch, number, ladder=ladder)
            number += 1
    if profiles:
        profile = handmade(path.with_name(f"{path.stem}-row.llmflame"))
        for name in ("stock", "static-cache+compile"):
            writer.embed(name, batches[0], profile)
        profile.unlink()
    writer.finish("complete")
    return path


def _row(writer: ProfileWriter, name: str, batch: int, number: int, *, ladder: bool) -> None:
    rung = {"static-cache": 1, "static-cache+compile": 2}.get(name, 1) if ladder and name != "stock" else None
    kept = ladder and name in ("static-cache", "static-cache+compile")
    base = None if name == "stock" else "static-cache" if rung == 2 else "stock"
    equality: EqualityClass = "approximate" if name == "int8" else "equivalent"
    variants = "" if name == "stock" else name
    writer.rows([LabRow(name, batch, number, "transformers", variants, equality, "decode", base, rung, kept)])
    outcome = {"broken": "failed", "impossible": "skipped"}.get(name, "done")
    reason = {"broken": "ended with exit code 1: RuntimeError: no", "impossible": "needs a CUDA device"}.get(
        name
    )
    writer.rows([_trial(name, batch, 0, number, outcome, reason)])
    if outcome != "done":
        return
    if name != "stock":
        tokens = {"tokens": 10.0, "tokens equal": 3.0 if name == "wrong" else 10.0, "random weights": 0.0}
        logits = {
            "positions": 10.0,
            "max delta": 0.0002,
            "max logit": 20.0,
            "mean kl": 0.004,
            "top-1 agreement": 0.99,
        }
        losses = {
            "perplexity": 20.2,
            "stock perplexity": 20.0,
            "first divergence": 3.0 if name == "wrong" else None,
        }
        writer.rows(
            [AgreementRow(name, batch, key, value) for key, value in (tokens | logits | losses).items()]
        )
    if name != "wrong":
        for turn in range(1, ROUNDS + 1):
            _timing(writer, name, batch, turn, number)


def _timing(writer: ProfileWriter, name: str, batch: int, turn: int, number: int) -> None:
    step = STEP_MS[name] * MS * (1 + NOISE[(turn + 2 * number) % ROUNDS])
    if name == "int8":
        step *= batch
    writer.rows([_trial(name, batch, turn, number * 10 + turn, "done", None)])
    for repetition in range(REPETITIONS):
        decode = round(step * (NEW_TOKENS - 1))
        writer.rows(
            [
                LabRequestRow(
                    name, batch, turn, repetition, round(step), decode, NEW_TOKENS - 1, decode + round(step)
                )
            ]
        )


def _trial(name: str, batch: int, turn: int, number: int, outcome: str, reason: str | None) -> TrialRow:
    compiled = "compile" in name
    return TrialRow(
        row=name,
        batch=batch,
        round=turn,
        purpose="timing" if turn else "check",
        number=number,
        outcome=outcome,  # type: ignore[arg-type]
        reason=reason,
        wall_ns=3_000 * MS,
        load_ns=500 * MS,
        first_request_ns=(2_000 if compiled else 200) * MS,
        recompilations=0 if compiled else None,
        weight_bytes=200 * MIB,
        step_bytes=100.0 * MIB,
        step_flop=2e8,
        peak_host_bytes=PEAK_MIB.get(name, 600) * MIB,
        peak_device_bytes=None,
        energy_joule=4.0,
        energy_source="RAPL",
        clock_mhz=2000.0,
        temperature_celsius=60.0,
        throttled=None,
        same_tokens=True if turn else None,
    )
