"""One table as comma-separated values, in base units: nanoseconds, bytes, shares of 1."""

from __future__ import annotations

import csv
import io

from llmflame.analysis.tables import Value
from llmflame.exports.names import one_line
from llmflame.exports.request import Request
from llmflame.exports.tables import table_of

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula, and may run what a profile calls a function."""


def csv_table(request: Request) -> str:
    """The columns that `--json` of the view has; what is unknown is empty."""
    table = table_of(request)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.name for column in table.columns])
    writer.writerows([[_cell(value) for value in row] for row in table.rows])
    return text.getvalue()


def _cell(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    shown = one_line(value)
    return f"'{shown}" if value.startswith(_FORMULA) else shown
