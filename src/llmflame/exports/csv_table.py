"""One table as comma-separated values, in base units: nanoseconds, bytes, shares of 1."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from llmflame.analysis.functions_table import functions_table
from llmflame.analysis.kernels_table import kernels_table
from llmflame.analysis.modules_table import modules_table
from llmflame.analysis.ops_table import ops_table
from llmflame.analysis.phases_table import phases_table
from llmflame.analysis.steps_table import steps_table
from llmflame.analysis.tables import Table, Value
from llmflame.errors import UsageError
from llmflame.exports.names import one_line
from llmflame.exports.request import Request

VIEWS: Mapping[str, Callable[[Request], Table]] = {
    "functions": lambda request: functions_table(request.tree, request.phases),
    "ops": lambda request: ops_table(request.run.tree, request.phases),
    "modules": lambda request: modules_table(request.run.tree, request.phases),
    "kernels": lambda request: kernels_table(request.run.tree, request.phases),
    "phases": lambda request: phases_table(request.profile, request.run.tree, request.phases),
    "steps": lambda request: steps_table(request.profile),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula, and may run what a profile calls a function."""


def csv_table(request: Request) -> str:
    """The columns that `--json` of the view has; what is unknown is empty."""
    if request.view == "steps" and request.phases:
        raise UsageError("--phase doesn't go with --view steps: all its rows are of decode")
    if request.view != "functions" and request.all_frames:
        raise UsageError(f"--all-frames goes with --view functions, not with {request.view}")
    table = VIEWS[request.view](request)
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
