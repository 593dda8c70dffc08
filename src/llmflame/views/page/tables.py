"""The page's tables: what `show --view ... --json` prints, by column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmflame.analysis.functions_table import functions_table
from llmflame.analysis.kernels_table import kernels_table
from llmflame.analysis.modules_table import modules_table
from llmflame.analysis.ops_table import ops_table
from llmflame.analysis.tables import Table, Value
from llmflame.analysis.tree import Tree
from llmflame.views.page.document import StringTable

MOST_ROWS = 5_000
"""Of one table: what comes after is told, not carried. A whole table is in `llmflame export --format csv`."""
TITLES = {
    "functions": "Functions",
    "ops": "Operators",
    "kernels": "Kernels",
    "modules": "Modules",
}


def table_data(run: Tree, shown: Tree) -> dict[str, object] | None:
    """Tables with rows; None where there are none. `run` is the whole tree, `shown` the one that functions
    are taken from: without the frames that only pass a call on, unless those were asked for."""
    found = [functions_table(shown), ops_table(run), kernels_table(run), modules_table(run)]
    strings = StringTable()
    tables = [encoded(table, strings) for table in found if table.rows]
    return {"strings": strings.values, "tables": tables} if tables else None


def encoded(table: Table, strings: StringTable) -> dict[str, object]:
    """A table by column: texts are indices into `strings` (-1: none), numbers stand for themselves."""
    rows = table.rows[:MOST_ROWS]
    return {
        "id": table.view,
        "title": TITLES.get(table.view, table.view.capitalize()),
        "columns": [
            {
                "name": column.name,
                "unit": column.unit,
                "label": column.label,
                "shown": column.shown,
                "values": _values((row[place] for row in rows), column.unit, strings),
            }
            for place, column in enumerate(table.columns)
        ],
        "count": len(rows),
        "left_out": len(table.rows) - len(rows),
        "notes": list(table.notes),
    }


def _values(values: Iterable[Value], unit: str, strings: StringTable) -> Sequence[Value]:
    if unit != "text":
        return list(values)
    return [strings.add(None if value is None else str(value)) for value in values]
