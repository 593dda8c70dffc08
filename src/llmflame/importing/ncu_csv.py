"""Nsight Compute's tables: `ncu --csv --page raw`, a launch a row, and `--page details`, a metric a row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.importing import ncu_launch as names
from llmflame.importing.ncu_launch import Launch, WrongValueError
from llmflame.importing.text_file import lines

METRIC, UNIT, VALUE = "Metric Name", "Metric Unit", "Metric Value"
_PREAMBLE = "=="
"""`==PROF==`, `==WARNING==`, `==ERROR==`: what ncu itself says, on the stream that the table is on."""


class _Header:
    """Where each column of a table stands."""

    def __init__(self, path: Path, cells: Sequence[str]) -> None:
        self.cells = [cell.strip() for cell in cells]
        self._place = {name: place for place, name in enumerate(self.cells)}
        self.is_long = METRIC in self._place and VALUE in self._place
        for name in (names.LAUNCH, names.KERNEL):
            if name not in self._place:
                raise UsageError(f"{path}: no column {name!r}: write it with ncu --csv --page raw")
        self.wanted = [(place, name) for place, name in enumerate(self.cells) if names.wanted(name)]
        self.units: dict[str, str] = {}

    def of(self, row: Sequence[str], name: str) -> str:
        """A row's cell in a column; empty where there is no such column."""
        place = self._place.get(name)
        return row[place] if place is not None else ""


class _TableLines:
    """A file's lines without what ncu itself says; `number` is the last one's."""

    def __init__(self, path: Path) -> None:
        self.number = 0
        self._lines = lines(path)

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            if line.strip() and not line.startswith(_PREAMBLE):
                yield line + "\n"


def read_launches(path: Path) -> list[Launch]:
    """The launches of a file, in its order. Raises UsageError with the line that is wrong."""
    launches: dict[tuple[str, ...], Launch] = {}
    header: _Header | None = None
    text = _TableLines(path)
    try:
        for row in csv.reader(text):
            if header is None:
                header = _Header(path, row) if _is_header(row) else None
            elif row == header.cells:
                continue  # a second run, appended to the same file
            elif len(row) != len(header.cells):
                raise WrongValueError(f"{len(row)} cells in a table of {len(header.cells)} columns: cut off?")
            else:
                (_take_metric if header.is_long else _take_launch)(launches, header, row)
    except (csv.Error, WrongValueError) as error:
        raise UsageError(f"{path}: line {text.number}: {error}") from error
    if header is None:
        raise UsageError(f"{path}: no table of Nsight Compute in it: write it with ncu --csv --page raw")
    return list(launches.values())


def is_ncu(text: str) -> bool:
    """Does the beginning of a file look like such a table?"""
    rows = (line for line in text.splitlines() if not line.startswith(_PREAMBLE))
    return any(f'"{names.KERNEL}"' in line or line.startswith("ID,Process ID,") for line in rows)


def _is_header(row: Iterable[str]) -> bool:
    return names.KERNEL in {cell.strip() for cell in row}


def _launch(launches: dict[tuple[str, ...], Launch], header: _Header, row: Sequence[str]) -> Launch | None:
    """The launch that a row tells of; None for the row of units."""
    number = header.of(row, names.LAUNCH).strip()
    if not number:
        return None
    process = header.of(row, names.PROCESS)
    known = launches.get((process, number))
    if known is None:
        known = launches[process, number] = Launch(
            kernel=header.of(row, names.KERNEL) or "(no name)",
            process=header.of(row, names.PROCESS_NAME),
            grid=header.of(row, names.GRID),
            capability=header.of(row, names.CAPABILITY) or None,
        )
    return known


def _take_launch(launches: dict[tuple[str, ...], Launch], header: _Header, row: Sequence[str]) -> None:
    launch = _launch(launches, header, row)
    if launch is None:
        header.units = {name: row[place] for place, name in header.wanted}
        return
    for place, name in header.wanted:
        launch.take(name, header.units.get(name, ""), row[place])


def _take_metric(launches: dict[tuple[str, ...], Launch], header: _Header, row: Sequence[str]) -> None:
    launch = _launch(launches, header, row)
    if launch is not None:
        launch.take(header.of(row, METRIC).strip(), header.of(row, UNIT), header.of(row, VALUE))
