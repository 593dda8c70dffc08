"""Leads an experiment: outputs are compared first, then rows that agree are timed in rounds, then profiled.

Whatever a trial does is stored at once, so that an experiment that is interrupted says what it knows.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from llmflame.analysis.ceiling import Rates
from llmflame.analysis.experiment import agreement as names
from llmflame.analysis.experiment.agreement import WIDE
from llmflame.analysis.experiment.results import Key, Result, Seen, results
from llmflame.analysis.experiment.speedup import CONFIDENCE
from llmflame.errors import ProgramFailedError
from llmflame.lab.forced_text import forced_ids
from llmflame.lab.observed import request_rows, trial_row
from llmflame.lab.order import LabOrder
from llmflame.lab.outputs import Floats, Ids, Output, logit_measures, read_output, token_measures
from llmflame.lab.processes import TrialRunner
from llmflame.lab.trial import TrialResult, TrialSpec
from llmflame.progress import Piece, Progress
from llmflame.store.lab_rows import AgreementRow, LabRequestRow, LabRow, Purpose, TrialRow
from llmflame.store.writer import ProfileWriter
from llmflame.subjects.checkpoint import Checkpoint

CHECK_REPETITIONS = 1
CHECK_WARMUPS = 1
NOT_CHECKED = Rates(None, None)


@dataclass(slots=True)
class Conductor:
    """Runs trials of rows, one at a time, and keeps what was seen."""

    order: LabOrder
    checkpoint: Checkpoint
    runner: TrialRunner
    writer: ProfileWriter
    progress: Progress
    folder: Path
    """For what trials write; removed by whoever made it."""
    rows: list[LabRow] = field(default_factory=list)
    trials: list[TrialRow] = field(default_factory=list)
    requests: list[LabRequestRow] = field(default_factory=list)
    agreements: list[AgreementRow] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    """Of the libraries that the trials ran with."""
    _stock: dict[int, Output] = field(default_factory=dict)
    _float32: dict[int, Floats] = field(default_factory=dict)
    _tokens: dict[Key, Ids] = field(default_factory=dict)
    _rounds: int = 0

    def add(self, row: LabRow) -> None:
        """A row to be measured, or one that has changed."""
        self.rows = [one for one in self.rows if (one.row, one.batch) != (row.row, row.batch)] + [row]
        self.writer.rows([row])

    def begin(self, pieces: Sequence[str]) -> None:
        """Say what comes; all trials take about as long."""
        self.progress.begin([Piece(name, 1.0) for name in pieces])

    def results(self, confidence: float = CONFIDENCE) -> list[Result]:
        """What is known so far."""
        seen = Seen(
            self.rows,
            self.trials,
            self.requests,
            self.agreements,
            self.order.dtype,
            self.order.new_tokens,
            NOT_CHECKED,
            confidence,
        )
        return results(seen)

    def check_stock(self, row: LabRow) -> None:
        """What all others are compared with. Raises ProgramFailedError where it can't be run."""
        with self._place() as place:
            result = self._trial(row, 0, "check", place, forced=self._forced(place, row.batch))
            output = self._kept(result, f"stock-{row.batch}")
        if result.outcome != "done" or output is None:
            raise ProgramFailedError(f"the stock model could not be run: {result.reason}")
        self._stock[row.batch] = output
        self._tokens[row.row, row.batch] = output.tokens
        if self.order.dtype not in WIDE and output.logits is not None:
            self._check_float32(row)

    def _check_float32(self, row: LabRow) -> None:
        """The stock model in float32, which narrower dtypes' errors are measured against. It may not fit."""
        self.progress.step(f"{row.row} in float32")
        with self._place() as place:
            forced = str(self._forced(place, row.batch))
            spec = replace(self._spec(row, place, "check"), dtype="float32", forced=forced)
            result = self.runner.run(spec).result
            output = self._kept(result, f"float32-{row.batch}") if result.outcome == "done" else None
        if output is not None and output.logits is not None:
            self._float32[row.batch] = output.logits

    def check(self, row: LabRow) -> bool:
        """Compare a row's output with the stock model's; whether it may be timed."""
        stock = self._stock[row.batch]
        with self._place() as place:
            forced = self._forced(place, row.batch)
            result = self._trial(row, 0, "check", place, forced=forced)
            output = read_output(result.tokens, result.logits)
            if result.outcome != "done" or output is None:
                return False
            measures = token_measures(output.tokens, stock.tokens)
            measures[names.RANDOM_WEIGHTS] = float(self.checkpoint.random_weights)
            if output.logits is not None and stock.logits is not None:
                targets = np.load(forced)[:, self.order.prompt_tokens :]
                exact = self._float32.get(row.batch)
                measures |= logit_measures(output.logits, stock.logits, targets, exact)
            self._tokens[row.row, row.batch] = output.tokens
        found = [AgreementRow(row.row, row.batch, name, value) for name, value in measures.items()]
        self.agreements += found
        self.writer.rows(found)
        return self._is_alive(row)

    def round(self, rows: Sequence[LabRow]) -> None:
        """One timing trial of each row that is still in the race, in an order drawn at random."""
        self._rounds += 1
        order = list(rows)
        random.Random(f"{self.order.seed} {self._rounds}").shuffle(order)
        for row in order:
            if self._is_alive(row):
                with self._place() as place:
                    self._trial(row, self._rounds, "timing", place)
            else:
                self.progress.step(f"{row.row}, round {self._rounds}")

    def profile(self, row: LabRow) -> None:
        """Record a row's profile, apart from its timing; without one the row is none the worse."""
        with self._place() as place:
            self.progress.step(f"{row.row}, profile")
            file = place / "profile.llmflame"
            spec = replace(self._spec(row, place, "check"), profile=str(file))
            ran = self.runner.run(spec)
            if ran.result.outcome == "done" and file.is_file():
                self.writer.embed(row.row, row.batch, file)
            else:
                why = ran.result.reason or ran.result.profile_note or "it wrote none"
                self.add(replace(row, note=f"no profile: {why}"))

    def _is_alive(self, row: LabRow) -> bool:
        verdicts = {result.key: result.verdict for result in self.results()}
        return verdicts.get((row.row, row.batch)) not in ("failed", "skipped", "disagrees")

    def _trial(
        self, row: LabRow, number: int, purpose: Purpose, place: Path, *, forced: Path | None = None
    ) -> TrialResult:
        self.progress.step(f"{row.row}, check" if purpose == "check" else f"{row.row}, round {number}")
        spec = self._spec(row, place, purpose)
        ran = self.runner.run(replace(spec, forced=str(forced)) if forced else spec)
        output = read_output(ran.result.tokens, None)
        if ran.result.outcome == "done" and output is None:
            ran = replace(ran, result=TrialResult("failed", "it gave no tokens"))
        self.versions |= ran.result.versions
        same = None
        if purpose == "timing" and ran.result.outcome == "done" and output is not None:
            first = self._tokens[row.row, row.batch]
            same = bool(np.array_equal(output.tokens, first)) and ran.result.repeatable is not False
        seen = trial_row(row, number, purpose, len(self.trials), ran, same)
        requests = request_rows(row, number, ran.result)
        self.trials.append(seen)
        self.requests += requests
        self.writer.rows([seen, *requests])
        return ran.result

    def _spec(self, row: LabRow, place: Path, purpose: Purpose) -> TrialSpec:
        order, checking = self.order, purpose == "check"
        return TrialSpec(
            model=order.model,
            engine=row.engine,  # type: ignore[arg-type]
            variants=tuple(row.variants.split("+")) if row.variants else (),
            device=order.device,
            dtype=order.dtype,
            batch=row.batch,
            prompt_tokens=order.prompt_tokens,
            new_tokens=order.new_tokens,
            warmups=CHECK_WARMUPS if checking else order.warmups,
            repetitions=CHECK_REPETITIONS if checking else order.repetitions,
            threads=order.threads,
            seed=order.seed,
            folder=str(place),
        )

    def _forced(self, place: Path, batch: int) -> Path:
        file = place / "forced.npy"
        tokens = self.order.prompt_tokens + self.order.new_tokens
        np.save(file, forced_ids(self.checkpoint.folder, batch, tokens))
        return file

    @contextlib.contextmanager
    def _place(self) -> Iterator[Path]:
        """A trial's folder: logits are hundreds of megabytes, and go with it."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="trial-") as place:
            yield Path(place)

    def _kept(self, result: TrialResult, name: str) -> Output | None:
        """A trial's output beyond its folder's end."""
        if result.logits is None:
            return read_output(result.tokens, None)
        target = self.folder / f"{name}.npy"
        with contextlib.suppress(OSError):
            shutil.move(result.logits, target)
        return read_output(result.tokens, str(target))
