"""What a table is, whoever draws it: columns with units, rows of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmflame.errors import UsageError

Value = str | int | float | bool | None
Row = tuple[Value, ...]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is for programs, `label` for people. Units: text, ns, bytes, count, share, index, any."""

    name: str
    unit: str
    label: str
    shown: bool = True
    """Whether a terminal shows it; a document holds all columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """A view as data. `notes` are sentences that belong below it."""

    view: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())

    def place(self, column: str) -> int:
        """The position of a column by name. Raises UsageError with the names that there are."""
        names = [candidate.name for candidate in self.columns]
        if column not in names:
            raise UsageError(f"--sort {column}: --view {self.view} has the columns {', '.join(names)}")
        return names.index(column)

    def sorted_by(self, column: str) -> Table:
        """Amounts from the largest, texts and indices from the first; what is unknown comes last."""
        place = self.place(column)
        known = [row for row in self.rows if row[place] is not None]
        unknown = [row for row in self.rows if row[place] is None]
        rising = self.columns[place].unit in ("text", "index")
        known.sort(key=lambda row: row[place], reverse=not rising)  # type: ignore[arg-type, return-value]
        return replace(self, rows=(*known, *unknown))

    def limited(self, limit: int | None) -> Table:
        """The first rows, and a note that tells how many more there are."""
        if limit is None or len(self.rows) <= limit:
            return self
        note = f"{len(self.rows) - limit:,} more rows: --limit {len(self.rows)} shows all"
        return replace(self, rows=self.rows[:limit], notes=(*self.notes, note))

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "schema": SCHEMA,
            "view": self.view,
            "columns": [{"name": column.name, "unit": column.unit} for column in self.columns],
            "rows": [list(row) for row in self.rows],
        }


def ratio(part: float, whole: float) -> float | None:
    """A quotient; None where there is nothing to divide by."""
    return part / whole if whole else None


def rounded(values: Iterable[float | None]) -> list[int | None]:
    """Whole numbers of what is counted or timed in whole units."""
    return [None if value is None else round(value) for value in values]


def check_phases(wanted: Sequence[str], known: Sequence[str]) -> None:
    """Raise UsageError where a phase was asked for that the profile doesn't have."""
    for name in wanted:
        if name not in known:
            raise UsageError(f"--phase {name}: this profile has the phases {', '.join(known) or '(none)'}")
