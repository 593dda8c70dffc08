"""A row of an experiment as it is shown: first whether its output agrees, and only then what it gained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from llmflame.analysis.ceiling import Rates
from llmflame.analysis.experiment.agreement import Agreement, Measures, judge, tokens_decide
from llmflame.analysis.experiment.footprint import MemoryVerdict, memory_verdict
from llmflame.analysis.experiment.samples import METRIC_OF_PHASES, Metric, Sample, paired, samples
from llmflame.analysis.experiment.speedup import CONFIDENCE, Speedup, speedup
from llmflame.store.lab_rows import AgreementRow, LabRequestRow, LabRow, TrialRow

Verdict = Literal["stock", "faster", "slower", "no difference", "unclear", "failed", "skipped", "disagrees"]
Key = tuple[str, int]
"""A row's name and its batch size."""
NS = 1e9


@dataclass(frozen=True, slots=True)
class Figures:
    """What a row whose output agrees was seen to do. None for what isn't known."""

    tokens_per_s: float
    """New tokens of all rows of the batch over the time of a request."""
    ttft_ns: float
    tpot_ns: float | None
    load_ns: float | None
    compile_ns: float | None
    """What the first request took beyond a later one, where something is compiled."""
    mbu: float | None
    """Bytes that a step must move / TPOT / memory bandwidth: a share of 1."""
    mfu: float | None
    """Operations of a step / TPOT / peak rate of the experiment's dtype."""
    peak_bytes: float | None
    """Of the device where there is one, else of the host."""
    joule_per_token: float | None
    energy_source: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """One row. Without agreement there are no figures and no speed-up."""

    row: LabRow
    verdict: Verdict
    agreement: Agreement
    reason: str | None
    """Why it failed, was skipped, disagrees or is unclear."""
    metric: Metric
    """What it is judged by."""
    speedup: Speedup | None = None
    """Over the stock model at the same batch size."""
    step: Speedup | None = None
    """Over the row that it was tried on top of, where that is another one."""
    figures: Figures | None = None
    memory: MemoryVerdict | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Its name and batch size."""
        return self.row.row, self.row.batch


@dataclass(frozen=True, slots=True)
class Seen:
    """All rows of an experiment's tables, and what judging them takes."""

    rows: Sequence[LabRow]
    trials: Sequence[TrialRow]
    requests: Sequence[LabRequestRow]
    agreements: Sequence[AgreementRow]
    dtype: str
    new_tokens: int
    ceilings: Rates
    confidence: float = CONFIDENCE


def results(seen: Seen) -> list[Result]:
    """Every row in the order in which rows were asked for."""
    trials: dict[Key, list[TrialRow]] = defaultdict(list)
    requests: dict[Key, list[LabRequestRow]] = defaultdict(list)
    measures: dict[Key, dict[str, float | None]] = defaultdict(dict)
    for trial in seen.trials:
        trials[trial.row, trial.batch].append(trial)
    for request in seen.requests:
        requests[request.row, request.batch].append(request)
    for one in seen.agreements:
        measures[one.row, one.batch][one.name] = one.value
    timed = {
        (row.row, row.batch): samples(trials[row.row, row.batch], requests[row.row, row.batch])
        for row in seen.rows
    }
    return [
        _result(row, seen, trials[row.row, row.batch], measures[row.row, row.batch], timed)
        for row in seen.rows
    ]


def _result(
    row: LabRow,
    seen: Seen,
    trials: Sequence[TrialRow],
    measures: Measures,
    timed: Mapping[Key, Sequence[Sample]],
) -> Result:
    metric = METRIC_OF_PHASES.get(row.phase, "wall")
    ended = next((trial for trial in trials if trial.outcome != "done"), None)
    unchecked = Agreement("unchecked", "its output was not compared")
    if ended is not None and ended.outcome != "done":
        return Result(row, ended.outcome, unchecked, ended.reason or ended.outcome, metric)
    if row.base is None:
        agreement = Agreement("agrees", "what all others are compared with")
    else:
        agreement = _agreement(row, seen.dtype, trials, measures)
    if agreement.verdict == "disagrees":
        return Result(row, "disagrees", agreement, agreement.words, metric)
    mine, stock = timed[row.row, row.batch], timed.get((_stock(seen.rows, row.batch), row.batch), ())
    if agreement.verdict == "unchecked" or not mine:
        passed_over = "passed over: by its first request others of its rung were faster"
        reason = (
            "the experiment ended before it was timed" if row.rung is None or not measures else passed_over
        )
        return Result(row, "unclear", agreement, reason, metric)
    figures, notes = _figures(mine, row, seen), tuple(_notes(row, mine, trials))
    if row.base is None:
        return Result(row, "stock", agreement, None, metric, figures=figures, notes=notes)
    gain = speedup(*paired(stock, mine, metric), seen.confidence)
    over = timed.get((row.base, row.batch), ())
    step = None
    if row.base != _stock(seen.rows, row.batch):
        step = speedup(*paired(over, mine, metric), seen.confidence)
    return Result(
        row,
        "unclear" if gain is None else gain.verdict,
        agreement,
        "too few rounds to tell" if gain is None else None,
        metric,
        gain,
        step,
        figures,
        memory_verdict(_peaks(stock), _peaks(mine)),
        notes,
    )


def _stock(rows: Sequence[LabRow], batch: int) -> str:
    return next((row.row for row in rows if row.base is None and row.batch == batch), "")


def _agreement(row: LabRow, dtype: str, trials: Sequence[TrialRow], measures: Measures) -> Agreement:
    agreement = judge(row.equality, dtype, measures)
    if agreement.verdict == "agrees" and tokens_decide(row.equality, dtype, measures):
        for trial in trials:
            if trial.same_tokens is not None and not trial.same_tokens:
                words = f"its process of round {trial.round} generated other tokens than its first one"
                return Agreement("disagrees", words)
    return agreement


def _figures(mine: Sequence[Sample], row: LabRow, seen: Seen) -> Figures:
    wall = median(sample.wall_ns for sample in mine)
    steps = [sample.tpot_ns for sample in mine if sample.tpot_ns]
    tpot = median(steps) if steps else None
    trial = mine[0].trial
    compiled = [
        sample.trial.first_request_ns - sample.wall_ns
        for sample in mine
        if sample.trial.recompilations is not None and sample.trial.first_request_ns is not None
    ]
    loads = [sample.trial.load_ns for sample in mine if sample.trial.load_ns is not None]
    peaks = _peaks(mine)
    energy, source = _energy(mine, row.batch * seen.new_tokens, seen.requests, row)
    return Figures(
        tokens_per_s=row.batch * seen.new_tokens / wall * NS,
        ttft_ns=median(sample.ttft_ns for sample in mine),
        tpot_ns=tpot,
        load_ns=median(loads) if loads else None,
        compile_ns=max(median(compiled), 0.0) if compiled else None,
        mbu=_share(trial.step_bytes, tpot, seen.ceilings.bytes_per_s),
        mfu=_share(trial.step_flop, tpot, seen.ceilings.flop_per_s),
        peak_bytes=median(peaks) if peaks else None,
        joule_per_token=energy,
        energy_source=source,
    )


def _share(amount: float | None, time_ns: float | None, per_s: float | None) -> float | None:
    if amount is None or not time_ns or not per_s:
        return None
    return amount / (time_ns / NS) / per_s


def _peaks(mine: Sequence[Sample]) -> list[int]:
    """The device's where there is one: the host's is then that of the load."""
    device = [s.trial.peak_device_bytes for s in mine if s.trial.peak_device_bytes is not None]
    return device or [s.trial.peak_host_bytes for s in mine if s.trial.peak_host_bytes is not None]


def _energy(
    mine: Sequence[Sample], tokens: int, requests: Sequence[LabRequestRow], row: LabRow
) -> tuple[float | None, str | None]:
    """Joule a new token, the median of the trials."""
    counts: dict[int, int] = defaultdict(int)
    for one in requests:
        if (one.row, one.batch) == (row.row, row.batch):
            counts[one.round] += 1
    known = [
        sample.trial.energy_joule / (tokens * counts[sample.round])
        for sample in mine
        if sample.trial.energy_joule is not None and tokens and counts[sample.round]
    ]
    return (median(known), mine[0].trial.energy_source) if known else (None, None)


def _notes(row: LabRow, mine: Sequence[Sample], trials: Sequence[TrialRow]) -> list[str]:
    notes = []
    recompiled = max((sample.trial.recompilations or 0 for sample in mine), default=0)
    if recompiled:
        notes.append(f"compiled {recompiled:,} times in its measured requests: its shapes or guards change")
    fell = [sample for sample in mine if sample.clock_fell]
    if fell:
        rounds = ", ".join(str(sample.round) for sample in fell)
        reasons = {sample.trial.throttled for sample in fell if sample.trial.throttled}
        words = f" ({', '.join(sorted(filter(None, reasons)))})" if reasons else ""
        notes.append(f"the clock fell{words} in round {rounds}")
    if any(trial.same_tokens is not None and not trial.same_tokens for trial in trials):
        notes.append("its tokens differ from process to process")
    if row.note:
        notes.append(row.note)
    return notes
