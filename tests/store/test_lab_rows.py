"""The tables of an experiment: written, read, missing in older files; and the profiles inside its file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from llmflame.cli.app import run
from llmflame.errors import UnreadableProfileError
from llmflame.store.embedded import row_address
from llmflame.store.lab_rows import LAB_ROWS, AgreementRow, LabRequestRow, LabRow, TrialRow
from llmflame.store.profile import SINCE, read_profile
from llmflame.store.writer import APPLICATION_ID, ProfileWriter
from tests.handmade import handmade

SCHEMA_5 = Path(__file__).with_name("schema_5.sql")
"""As it was when version 5 was current."""
ROW = LabRow("a+b", 1, 1, "transformers", "a+b", "equivalent", "decode", "stock", None, False)
TRIAL = TrialRow(
    "a+b", 1, 0, "check", 0, "done", None, 5, 4, 3, None, 2, 1.5, 2.5, 7, None, 0.5, "RAPL", 2000.0, 60.0,
    None, True,
)  # fmt: skip
REQUEST = LabRequestRow("a+b", 1, 0, 0, 10, 20, 2, 30)
AGREEMENT = AgreementRow("a+b", 1, "tokens", 8.0)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A file with one row at two batch sizes, each with a profile."""
    profile = handmade(tmp_path / "row.llmflame")
    path = tmp_path / "lab.llmflame"
    writer = ProfileWriter(path, version="1", mode="lab")
    writer.rows([ROW, TRIAL, REQUEST, AGREEMENT])
    writer.embed("a+b", 1, profile)
    writer.embed("a+b", 4, profile)
    writer.embed("stock", 1, profile)
    writer.finish("complete")
    return path


def test_what_was_written_is_read(lab: Path) -> None:
    read = read_profile(lab)
    assert (read.lab_rows, read.trials, read.lab_requests, read.agreements) == (
        (ROW,),
        (TRIAL,),
        (REQUEST,),
        (AGREEMENT,),
    )
    assert [(one.row, one.batch) for one in read.row_profiles] == [("a+b", 1), ("a+b", 4), ("stock", 1)]


def test_a_row_replaces_its_former_self(tmp_path: Path) -> None:
    writer = ProfileWriter(tmp_path / "x.llmflame", version="1", mode="lab")
    writer.rows(
        [ROW, LabRow("a+b", 1, 1, "transformers", "a+b", "equivalent", "decode", "stock", 1, True, "why")]
    )
    writer.finish("complete")
    (row,) = read_profile(tmp_path / "x.llmflame").lab_rows
    assert row.kept and row.note == "why"


def test_version_6_brought_them_and_a_file_of_version_5_has_none(tmp_path: Path) -> None:
    assert {table for table, version in SINCE.items() if version == 6} == {kind.table for kind in LAB_ROWS}
    current = handmade(tmp_path / "current.llmflame")
    old = tmp_path / "old.llmflame"
    db = sqlite3.connect(old)
    db.executescript(SCHEMA_5.read_text("utf-8"))
    db.execute("ATTACH ? AS current", (str(current),))
    for (table,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
        db.execute(f"INSERT INTO main.{table} SELECT * FROM current.{table}")
    db.commit()
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 5")
    db.close()
    was, now = read_profile(old), read_profile(current)
    assert was.spans == now.spans and was.lab_rows == now.lab_rows == ()
    with pytest.raises(UnreadableProfileError, match="no experiment, it has no rows"):
        read_profile(f"{old}:stock")


# --- profiles of rows ------------------------------------------------------------------------------------


def test_a_rows_profile_is_the_very_one_that_was_embedded(lab: Path) -> None:
    for address in (f"{lab}:a+b@1", f"{lab}:a+b@4", f"{lab}:stock"):
        found = read_profile(address)
        assert found.spans == read_profile(lab.with_name("row.llmflame")).spans
        assert str(found.path) == address
    assert not list(lab.parent.glob("*-wal"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a+b", "say which batch size; rows with a profile: a+b@1, a+b@4, stock@1"),
        ("c", "no profile of a row c; rows with a profile"),
        ("stock@2", "no profile of a row stock"),
    ],
)
def test_a_row_that_is_not_there_is_named_with_those_that_are(lab: Path, row: str, words: str) -> None:
    with pytest.raises(UnreadableProfileError) as caught:
        read_profile(f"{lab}:{row}")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [
        "UPDATE row_profile SET data = x'00'",
        "UPDATE row_profile SET data = substr(data, 1, 900)",
        "UPDATE row_profile SET size = size - 1",
        "UPDATE row_profile SET data = 'text'",
    ],
)
def test_a_damaged_profile_of_a_row_is_one_line(lab: Path, command: str) -> None:
    with sqlite3.connect(lab) as db:
        db.execute(command)
    db.close()
    with pytest.raises(UnreadableProfileError, match="damaged"):
        read_profile(f"{lab}:stock")


def test_addresses() -> None:
    found = row_address(Path("a:b.llmflame:scratch:x+y@16"))
    assert found is not None
    assert (str(found.file), found.row, found.batch) == ("a:b.llmflame", "scratch:x+y", 16)
    assert row_address(Path("a.llmflame")) is None and row_address(Path("a.llmflame:")) is None


def test_a_file_that_has_such_a_name_is_that_file(tmp_path: Path) -> None:
    path = handmade(tmp_path / "a.llmflame:b")
    assert read_profile(path).spans


@pytest.mark.parametrize(
    "options", [["show"], ["show", "--view", "tree"], ["export", "--format", "folded", "-o", "-"]]
)
def test_commands_open_a_row(lab: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([options[0], f"{lab}:stock", *options[1:]]) == 0
    assert capsys.readouterr().out


def test_two_rows_are_compared(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", f"{lab}:stock", f"{lab}:a+b@4"]) == 0
    assert "lab.llmflame:a+b@4" in capsys.readouterr().out
