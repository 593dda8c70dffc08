"""Who holds the memory, what loading did, and what was predicted: into the file and back."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.errors import UnreadableProfileError
from llmflame.store.categories import ORDER
from llmflame.store.profile import SINCE, Profile, read_profile
from llmflame.store.rows import (
    HoldingRow,
    MomentRow,
    PredictionRow,
    ReadingRow,
    Row,
    TransferRow,
    WindowRow,
)
from llmflame.store.writer import APPLICATION_ID, SCHEMA_VERSION
from tests.handmade import handmade
from tests.handmade_memory import handmade_memory

from .written import COUNTS, INTEGERS, MAYBE, TEXT, new_path, open_writer

SCHEMA_2 = Path(__file__).with_name("schema_2.sql")
"""As it was when version 2 was current."""
METRICS_2 = 22
"""Version 2 had so many metrics; new ones came behind them."""
TABLES = ("moment", "holding", "reading", "transfer", "prediction")

SPACES = st.sampled_from(["host", "device"])
PASSES = st.sampled_from(["clean", "memory", "anatomy"])
NUMBERS = st.integers(1, 4)
MOMENTS = st.builds(
    MomentRow,
    PASSES,
    NUMBERS,
    TEXT,
    MAYBE,
    st.sampled_from(["begin", "end", "peak", "failure"]),
    INTEGERS,
    st.none() | st.integers(1, 3),
)
HOLDINGS = st.builds(
    HoldingRow, PASSES, NUMBERS, SPACES, st.sampled_from(ORDER) | TEXT, TEXT, INTEGERS, INTEGERS
)
READINGS = st.builds(ReadingRow, PASSES, NUMBERS, TEXT, INTEGERS)
TRANSFERS = st.builds(
    TransferRow,
    PASSES,
    TEXT,
    TEXT,
    st.sampled_from(["copy", "convert", "to device", "from device", "on device"]),
    TEXT,
    TEXT,
    st.none() | st.booleans(),
    *[COUNTS] * 4,
)
PREDICTIONS = st.builds(PredictionRow, TEXT, SPACES, st.sampled_from(ORDER), COUNTS, TEXT)
WINDOWS = [WindowRow("anatomy", number, "traced", "decode", 1, 9, None, None, None) for number in (1, 2, 3)]


def write(path: Path, rows: Sequence[Row]) -> Path:
    writer = open_writer(path)
    writer.rows(rows)
    writer.finish("complete")
    return path


def stored(rows: Sequence[Row]) -> Profile:
    with new_path() as path:
        return read_profile(write(path, rows))


@given(st.lists(MOMENTS, max_size=8, unique_by=lambda row: (row.pass_name, row.id)))
def test_moments_are_ordered_by_pass_and_time(rows: list[MomentRow]) -> None:
    found = stored([*WINDOWS, *rows]).moments
    assert list(found) == sorted(rows, key=lambda row: (row.pass_name, row.time_ns, row.id))


@given(
    st.lists(MOMENTS, min_size=1, max_size=4, unique_by=lambda row: (row.pass_name, row.id)),
    st.lists(HOLDINGS, max_size=8, unique_by=lambda r: (r.pass_name, r.moment, r.space, r.category, r.owner)),
    st.lists(READINGS, max_size=8, unique_by=lambda row: (row.pass_name, row.moment, row.name)),
)
def test_holdings_and_readings_come_back_below_their_moments(
    moments: list[MomentRow], held: list[HoldingRow], read: list[ReadingRow]
) -> None:
    known = {(row.pass_name, row.id) for row in moments}
    holdings = [row for row in held if (row.pass_name, row.moment) in known]
    readings = [row for row in read if (row.pass_name, row.moment) in known]
    profile = stored([*WINDOWS, *moments, *holdings, *readings])
    assert set(profile.holdings) == set(holdings) and len(profile.holdings) == len(holdings)
    assert set(profile.readings) == set(readings) and len(profile.readings) == len(readings)
    for table in (profile.holdings, profile.readings):
        places = [(row.pass_name, row.moment) for row in table]
        assert places == sorted(places), "those of one moment stand together"


@given(st.lists(TRANSFERS, max_size=8))
def test_transfers_keep_their_order(rows: list[TransferRow]) -> None:
    assert list(stored(rows).transfers) == rows


@given(st.lists(PREDICTIONS, max_size=8, unique_by=lambda row: (row.phase, row.space, row.category)))
def test_predictions_come_back(rows: list[PredictionRow]) -> None:
    found = stored(rows).predictions
    assert list(found) == sorted(rows, key=lambda row: (row.phase, row.space, row.category))


def test_moments_of_two_passes_may_have_the_same_number() -> None:
    rows: list[Row] = []
    for pass_name, size in (("clean", 1), ("memory", 2)):
        rows.append(MomentRow(pass_name, 1, "load", None, "end", size, None))
        rows.append(HoldingRow(pass_name, 1, "host", "weights", "a", size, 1))
    profile = stored(rows)
    assert [(row.pass_name, row.bytes) for row in profile.holdings] == [("clean", 1), ("memory", 2)]


def test_a_peak_of_what_was_given_back_is_below_zero() -> None:
    peak = MomentRow("anatomy", 1, "decode", 1, "peak", 5, 1)
    given_back = HoldingRow("anatomy", 1, "device", "kv cache", "", -(2**40), -3)
    assert stored([WINDOWS[0], peak, given_back]).holdings == (given_back,)


@pytest.mark.parametrize(
    "twice",
    [
        MomentRow("memory", 1, "decode", 1, "begin", 5, None),
        HoldingRow("memory", 1, "host", "weights", "a", 5, 1),
        ReadingRow("memory", 1, "resident_bytes", 5),
        PredictionRow("decode", "host", "weights", 5, "five"),
    ],
    ids=lambda row: row.table,
)
def test_what_is_told_twice_is_refused_when_it_is_written(twice: Row) -> None:
    """A sum over holders must not count one twice."""
    with new_path() as path:
        writer = open_writer(path)
        writer.rows([twice])
        with pytest.raises(sqlite3.IntegrityError):
            writer.rows([twice])
        writer.abandon()


# --- what no recorder writes -----------------------------------------------------------------------------


def script(path: Path, commands: str) -> Path:
    db = sqlite3.connect(path)
    db.executescript(commands)
    db.close()
    return path


def refused(path: Path) -> str:
    with pytest.raises(UnreadableProfileError) as caught:
        read_profile(path)
    line = str(caught.value)
    assert line.startswith(str(path)) and "\n" not in line
    return line


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ("UPDATE holding SET moment = 99 WHERE moment = 1", "a holding of an unknown moment"),
        ("UPDATE holding SET pass_name = 'anatomy' WHERE moment = 4", "a holding of an unknown moment"),
        ("UPDATE reading SET moment = 99 WHERE moment = 1", "a reading of an unknown moment"),
        ("UPDATE moment SET window = 7 WHERE window IS NOT NULL", "a moment of an unknown window"),
        ("UPDATE moment SET window = 7 WHERE window IS NULL", "a moment of an unknown window"),
        ("DELETE FROM moment", "a holding of an unknown moment"),
        ("UPDATE holding SET bytes = 'much'", "a value of the wrong type in table holding"),
        ("UPDATE holding SET bytes = 1.5", "a value of the wrong type in table holding"),
        ("UPDATE reading SET value = x'00'", "a value of the wrong type in table reading"),
        ("UPDATE moment SET time_ns = 'late'", "a value of the wrong type in table moment"),
        ("UPDATE prediction SET bytes = 1.5", "a value of the wrong type in table prediction"),
        (
            "INSERT INTO transfer VALUES ('clean', 'load', '', 'copy', 'a', 'b', 'yes', 1, 1, 1, 1)",
            "a value of the wrong type in table transfer",
        ),
    ],
)
def test_a_sound_database_that_is_no_sound_profile(tmp_path: Path, commands: str, words: str) -> None:
    path = handmade_memory(tmp_path / "a.llmflame")
    assert read_profile(path).holdings
    assert words in refused(script(path, commands))


@pytest.mark.parametrize("table", TABLES)
def test_a_file_without_a_table_of_its_version_is_refused(tmp_path: Path, table: str) -> None:
    path = handmade_memory(tmp_path / "a.llmflame")
    assert "no such table" in refused(script(path, f"DROP TABLE {table}"))


@pytest.mark.parametrize("table", TABLES)
def test_a_column_of_a_newer_minor_schema_is_left_alone(tmp_path: Path, table: str) -> None:
    path = handmade_memory(tmp_path / "a.llmflame")
    before = read_profile(path)
    assert read_profile(script(path, f"ALTER TABLE {table} ADD COLUMN more")) == before


# --- files of version 2 ----------------------------------------------------------------------------------


def second(path: Path, current: Path) -> Path:
    """A profile as a recorder of version 2 left it."""
    db = sqlite3.connect(path)
    db.executescript(SCHEMA_2.read_text("utf-8"))
    db.execute("ATTACH ? AS current", (str(current),))
    for (table,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
        known = {"metric": f"WHERE id <= {METRICS_2}", "cell": f"WHERE metric <= {METRICS_2}"}
        db.execute(f"INSERT INTO main.{table} SELECT * FROM current.{table} {known.get(table, '')}")
    db.commit()
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 2")
    db.close()
    return path


def test_version_3_brought_the_tables_of_memory() -> None:
    assert {table for table, version in SINCE.items() if version == 3} == set(TABLES)
    assert SCHEMA_VERSION >= 3


@pytest.mark.parametrize("make", [handmade, handmade_memory])
def test_a_file_of_version_2_has_all_that_it_had_and_nothing_else(tmp_path: Path, make: object) -> None:
    assert callable(make)
    current = make(tmp_path / "current.llmflame")
    was, now = read_profile(second(tmp_path / "old.llmflame", current)), read_profile(current)
    later = {"moments", "holdings", "readings", "transfers", "predictions"}
    assert all(getattr(was, name) == () for name in later)
    assert len(was.metrics) == METRICS_2 < len(now.metrics)
    assert was.cells == tuple(cell for cell in now.cells if cell.metric <= METRICS_2)
    for name in (field.name for field in dataclasses.fields(Profile)):
        if name not in later | {"path", "metrics", "cells"}:
            assert getattr(was, name) == getattr(now, name), name


def test_a_table_that_version_2_did_not_know_is_left_alone(tmp_path: Path) -> None:
    old = second(tmp_path / "old.llmflame", handmade(tmp_path / "current.llmflame"))
    commands = "CREATE TABLE holding (anything); INSERT INTO holding VALUES ('x')"
    assert read_profile(script(old, commands)).holdings == ()


def test_a_file_of_version_2_that_claims_to_be_of_version_3_is_refused(tmp_path: Path) -> None:
    old = second(tmp_path / "old.llmflame", handmade(tmp_path / "current.llmflame"))
    assert "no such table" in refused(script(old, "PRAGMA user_version = 3"))
