"""One table as Apache Parquet: typed columns, each with its unit. pyarrow writes it."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from typing import Any

from llmflame.analysis.tables import Value
from llmflame.errors import UsageError
from llmflame.exports.names import one_line
from llmflame.exports.request import Request
from llmflame.exports.tables import table_of

INSTALL = "pip install 'llmflame[parquet]'"
TYPES: Mapping[str, str] = {
    "text": "string",
    "index": "int64",
    "count": "int64",
    "bytes": "int64",
    "ns": "double",
    "share": "double",
    "flop": "double",
    "any": "double",
}
"""A column's type by its unit alone, so that the tables of all profiles can be put one below the other. Means
of nanoseconds have fractions; whole ones are exact up to 104 days."""


def parquet(request: Request) -> bytes:
    """The columns that `--json` of the view has. Raises UsageError where pyarrow isn't installed.

    Each field's metadata has its `unit`; the schema's has `llmflame` (the version that wrote it), `view` and
    `subject`.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(f"--format parquet needs pyarrow: {INSTALL}")
    import pyarrow
    import pyarrow.parquet

    table = table_of(request)
    fields = [
        pyarrow.field(column.name, TYPES[column.unit], metadata={"unit": column.unit})
        for column in table.columns
    ]
    about = {
        "llmflame": one_line(request.profile.run.llmflame_version),
        "view": table.view,
        "subject": one_line(request.title),
    }
    columns: list[list[Any]] = [
        [_cell(row[place], field.type == pyarrow.float64()) for row in table.rows]
        for place, field in enumerate(fields)
    ]
    arrays = [pyarrow.array(values, field.type) for values, field in zip(columns, fields, strict=True)]
    written = io.BytesIO()
    schema = pyarrow.schema(fields, metadata=about)
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), written)
    return written.getvalue()


def _cell(value: Value, is_float: bool) -> Value:
    if isinstance(value, str):
        return one_line(value)
    return float(value) if is_float and value is not None else value
