"""Tables as Parquet, read back by pyarrow."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import pytest

from llmflame.errors import UsageError
from llmflame.exports.parquet import TYPES, parquet
from llmflame.exports.request import Request
from llmflame.exports.tables import VIEWS
from llmflame.store.profile import read_profile
from tests.exports.made import HOSTILE, on_each_profile, request_of
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu

pq = pytest.importorskip("pyarrow.parquet")


def read(request: Request) -> Any:
    return pq.read_table(io.BytesIO(parquet(request)))


@on_each_profile
@pytest.mark.parametrize("view", VIEWS)
def test_reads_back(tmp_path: Path, kind: str, view: str) -> None:
    request = request_of(tmp_path, kind, view=view)
    found, table = read(request), VIEWS[view](request)
    assert [(field.name, field.metadata[b"unit"].decode()) for field in found.schema] == [
        (column.name, column.unit) for column in table.columns
    ]
    rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
    assert rows == list(table.rows)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_one_schema_whatever_is_in_it(tmp_path: Path, view: str) -> None:
    """So that the tables of several profiles are one data set."""
    schemas = [
        read(request_of(tmp_path, kind, view=view)).schema.remove_metadata() for kind in ("cpu", "memory")
    ]
    nothing = handmade(tmp_path / "n.llmflame", until="nothing", status="failed", reason="killed")
    schemas.append(read(Request(read_profile(nothing), view=view)).schema.remove_metadata())
    assert schemas[0].equals(schemas[1]) and schemas[0].equals(schemas[2])


def test_types_follow_units(tmp_path: Path) -> None:
    schema = read(request_of(tmp_path, "cpu", view="steps")).schema
    assert str(schema.field("wall_ns").type) == TYPES["ns"] == "double"
    assert str(schema.field("rss_delta_bytes").type) == TYPES["bytes"] == "int64"
    assert str(schema.field("anatomy").type) == "string"


def test_says_what_it_is_of(tmp_path: Path) -> None:
    about = read(request_of(tmp_path, "cpu", view="ops")).schema.metadata
    assert about[b"view"] == b"ops" and about[b"subject"] == b"Tiny-2L" and about[b"llmflame"]


def test_columns_can_be_picked(tmp_path: Path) -> None:
    data = io.BytesIO(parquet(request_of(tmp_path, "gpu", view="kernels")))
    assert pq.read_table(data, columns=["name", "device_ns"]).column_names == ["name", "device_ns"]


@pytest.mark.parametrize(("kind", "view"), [("cpu", "functions"), ("gpu", "kernels")])
def test_names_are_data(tmp_path: Path, kind: str, view: str) -> None:
    """One line of visible characters; no apostrophe: nothing that reads Parquet runs formulas."""
    path = tmp_path / "a.llmflame"
    name = f"={HOSTILE}"
    profile = handmade(path, name=name) if kind == "cpu" else handmade_gpu(path, kernel=name, model=HOSTILE)
    found = read(Request(read_profile(profile), view=view))
    texts = [cell for column in found.columns for cell in column.to_pylist() if isinstance(cell, str)]
    assert all(cell.isprintable() for cell in texts)
    assert any(r"=a;b c\n<img" in cell and not cell.startswith("'") for cell in texts)
    assert found.schema.metadata[b"subject"].decode().isprintable()


def test_the_same_profile_is_the_same_file(tmp_path: Path) -> None:
    request = request_of(tmp_path, "gpu")
    assert parquet(request) == parquet(request)


def test_without_pyarrow_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'llmflame\[parquet\]'"):
        parquet(request_of(tmp_path, "cpu"))
