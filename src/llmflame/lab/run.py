"""Runs an experiment from its order to one file that says everything, whatever ends it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from llmflame.analysis.experiment.agreement import WIDE
from llmflame.analysis.experiment.experiment import LAB
from llmflame.atomic import check_writable
from llmflame.lab import forced_text
from llmflame.lab.conductor import Conductor
from llmflame.lab.ladder import climb
from llmflame.lab.order import LabOrder
from llmflame.lab.processes import WORKER, TrialProcesses, TrialRunner
from llmflame.lab.rows import Catalogue, planned
from llmflame.probes.ceilings.kept import with_kept
from llmflame.probes.machine import read_machine
from llmflame.progress import SILENT, Progress
from llmflame.recording.ending import recording_into
from llmflame.store.lab_rows import LabRow
from llmflame.store.writer import ProfileWriter, Scalar
from llmflame.subjects import cache
from llmflame.subjects.checkpoint import Checkpoint

LEFT_OUT = ("failed", "skipped", "disagrees", "unclear")
"""Rows that leave no profile: what they did is not what the stock model does, or isn't known."""


@dataclass(frozen=True, slots=True)
class Means:
    """What an experiment is done with; tests have their own."""

    catalogue: Catalogue
    worker: str = WORKER
    runner: TrialRunner | None = None
    """Instead of processes."""


def run_experiment(
    checkpoint: Checkpoint,
    order: LabOrder,
    output: Path,
    means: Means,
    *,
    force: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Measure everything that `order` asks for into `output`.

    Raises UsageError with nothing left behind; ProgramFailedError (the stock model can't be run) or
    KeyboardInterrupt with a readable file of what was seen until then.
    """
    check_writable(output, force=force)
    order.check(checkpoint.context_tokens)
    rows = _rows(order, means.catalogue)
    facts = with_kept(cache.folder(), read_machine(cache.folder(), with_torch=False))
    with recording_into(output, mode=LAB) as writer:
        writer.facts(facts)
        writer.subject(_subject(checkpoint, order))
        with tempfile.TemporaryDirectory(prefix="llmflame-lab-", ignore_cleanup_errors=True) as folder:
            _conduct(checkpoint, order, rows, writer, means, Path(folder), progress)


def _rows(order: LabOrder, catalogue: Catalogue) -> list[LabRow]:
    """All rows but a ladder's, the stock model's first. Raises UsageError for what can't be combined."""
    rows: list[LabRow] = []
    for batch in order.batches:
        rows.append(planned(("transformers", ()), catalogue, batch=batch, number=len(rows), base=None))
        for combination in () if order.ladder else order.rows:
            rows.append(planned(combination, catalogue, batch=batch, number=len(rows)))
    if order.ladder:
        for _, names in order.rows:
            for name in names:
                catalogue.find(name)
    return rows


def _conduct(
    checkpoint: Checkpoint,
    order: LabOrder,
    rows: list[LabRow],
    writer: ProfileWriter,
    means: Means,
    folder: Path,
    progress: Progress,
) -> None:
    temporary = folder / "tmp"
    temporary.mkdir()
    runner = means.runner or TrialProcesses(order.time_limit_s, temporary, progress.tick, means.worker)
    conductor = Conductor(order, checkpoint, runner, writer, progress, folder)
    for row in rows:
        conductor.add(row)
    stocks = [row for row in rows if row.base is None]
    others = [row for row in rows if row.base is not None]
    conductor.begin(_pieces(order, stocks, others))
    for row in stocks:
        conductor.check_stock(row)
    writer.subject(dict(conductor.versions))
    if order.ladder:
        climb(conductor, means.catalogue, stocks[0])
    else:
        for row in others:
            conductor.check(row)
        for _ in range(order.rounds):
            conductor.round(rows)
    if order.profiles:
        _profile(conductor)


def _pieces(order: LabOrder, stocks: list[LabRow], others: list[LabRow]) -> list[str]:
    """The trials that will be, as far as that is known."""
    names = []
    for row in stocks:
        names.append(f"{row.row}, check")
        if order.dtype not in WIDE:
            names.append(f"{row.row} in float32")
    names += [f"{row.row}, check" for row in others]
    if not order.ladder:
        names += [f"{row.row}, round {n + 1}" for n in range(order.rounds) for row in (*stocks, *others)]
    return names


def _profile(conductor: Conductor) -> None:
    """Of a ladder only what it kept: what it tried is compared by its times."""
    chosen = [
        result.row
        for result in conductor.results()
        if result.verdict not in LEFT_OUT and (result.row.rung is None or result.row.kept)
    ]
    conductor.begin([f"{row.row}, profile" for row in chosen])
    for row in chosen:
        conductor.profile(row)


def _subject(checkpoint: Checkpoint, order: LabOrder) -> dict[str, Scalar]:
    return {
        "spec": checkpoint.spec,
        "model": checkpoint.name,
        "source": checkpoint.source,
        "architecture": checkpoint.architecture,
        "parameters": checkpoint.parameters,
        "random_weights": checkpoint.random_weights,
        "dtype": order.dtype,
        "device": order.device,
        "engine": order.engine,
        "prompt_tokens": order.prompt_tokens,
        "new_tokens": order.new_tokens,
        "rounds": order.rounds,
        "warmups": order.warmups,
        "repetitions": order.repetitions,
        "threads": order.threads,
        "seed": order.seed,
        "time_limit_s": order.time_limit_s,
        "ladder": order.ladder,
        "text": forced_text.digest(),
    }
