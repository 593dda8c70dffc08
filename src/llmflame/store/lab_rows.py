"""The tables of an experiment: what was compared, and what each trial saw. Verdicts aren't stored.

A row of an experiment is known by its name and its batch size. Times are nanoseconds, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Outcome = Literal["done", "skipped", "failed"]
EqualityClass = Literal["bitwise", "equivalent", "approximate"]
Purpose = Literal["check", "timing"]


@dataclass(frozen=True, slots=True)
class LabRow:
    """One way to run the model."""

    table: ClassVar[str] = "lab_row"
    row: str
    """`stock`, or the names of its variants joined by `+`; `scratch:` before them for that engine."""
    batch: int
    number: int
    """The order in which rows were asked for."""
    engine: str
    variants: str
    """Names joined by `+`; empty for an engine as it comes."""
    equality: EqualityClass
    """What its output must be: the weakest that a part of it promises."""
    phase: str
    """What its variants work on: `load`, `prefill`, `decode` or `all`."""
    base: str | None
    """The row that it is compared with; None for the one that all are compared with."""
    rung: int | None
    """Of a ladder: 1 for what was tried first; None where none was asked for."""
    kept: bool
    """Whether the ladder goes on from it."""
    note: str | None = None
    """Why its profile isn't there, where one was asked for."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One process."""

    table: ClassVar[str] = "trial"
    row: str
    batch: int
    round: int
    """0 for the check of outputs; trials of one round ran one after the other and are compared."""
    purpose: Purpose
    number: int
    """In which order the experiment's trials ran."""
    outcome: Outcome
    reason: str | None
    wall_ns: int
    """Of the process, from its start until its end."""
    load_ns: int | None
    first_request_ns: int | None
    """Of the first request, with everything that is compiled."""
    recompilations: int | None
    """Of torch.compile in the measured requests; None where nothing is compiled."""
    weight_bytes: int | None
    step_bytes: float | None
    """What a decode step must move at least."""
    step_flop: float | None
    peak_host_bytes: int | None
    peak_device_bytes: int | None
    energy_joule: float | None
    energy_source: str | None
    clock_mhz: float | None
    """As the last measured request ended."""
    temperature_celsius: float | None
    throttled: str | None
    same_tokens: bool | None
    """Whether it generated what the check of its row did."""


@dataclass(frozen=True, slots=True)
class LabRequestRow:
    """One measured request of a timing trial."""

    table: ClassVar[str] = "lab_request"
    row: str
    batch: int
    round: int
    number: int
    ttft_ns: int
    decode_ns: int
    """From the first token to the last."""
    steps: int
    """Tokens after the first."""
    wall_ns: int


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """One number that says how far a row's output is from the stock model's."""

    table: ClassVar[str] = "agreement"
    row: str
    batch: int
    name: str
    """See `llmflame.analysis.experiment.agreement`."""
    value: float | None


@dataclass(frozen=True, slots=True)
class RowProfileRow:
    """That a row's profile lies in this file; its bytes are read by `embedded_profile` alone."""

    table: ClassVar[str] = "row_profile"
    row: str
    batch: int
    size: int
    """Bytes of the profile, before it was compressed."""


LabTable = LabRow | TrialRow | LabRequestRow | AgreementRow
"""What a writer takes as rows; profiles are embedded as files."""
LAB_ROWS = (LabRow, TrialRow, LabRequestRow, AgreementRow, RowProfileRow)
