"""A profile as it was stored: typed tables, read at once. Needs neither torch nor a GPU."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from llmflame.errors import UnreadableProfileError
from llmflame.store.model import Fact, Frame, Metric, Node
from llmflame.store.rows import (
    AnchorRow,
    CellRow,
    GaugeRow,
    PassRow,
    ProbeReportRow,
    SpanRow,
    Status,
    WindowRow,
)
from llmflame.store.writer import APPLICATION_ID, SCHEMA_VERSION

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Run:
    """When and with what the profile was made, and how that ended."""

    llmflame_version: str
    started_at: str
    ended_at: str | None
    status: Status
    reason: str | None
    mode: str
    """`processes`: each pass in a fresh child; `in-process`: all passes beside a live object."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything in the file. Tables are tuples of rows in the order in which they were written."""

    path: Path
    run: Run
    machine: tuple[Fact, ...]
    subject: Mapping[str, Any]
    passes: tuple[PassRow, ...]
    probe_reports: tuple[ProbeReportRow, ...]
    spans: tuple[SpanRow, ...]
    frames: Mapping[int, Frame]
    nodes: Mapping[int, Node]
    metrics: Mapping[int, Metric]
    windows: tuple[WindowRow, ...]
    cells: tuple[CellRow, ...]
    anchors: tuple[AnchorRow, ...]
    gauges: tuple[GaugeRow, ...]


def read_profile(path: Path | str) -> Profile:
    """Open a profile read-only and read it. Raises UnreadableProfileError with one line."""
    path = Path(path)
    if not path.is_file():
        raise UnreadableProfileError(f"{path}: no such file")
    try:
        return _read(path)
    except sqlite3.Error as error:
        raise UnreadableProfileError(f"{path}: damaged or not a profile ({error})") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnreadableProfileError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def _read(path: Path) -> Profile:
    db = _connect(path)
    try:
        _check(db, path)
        columns = "llmflame_version, started_at, ended_at, status, reason, mode"
        run = next(_rows(db, Run, f"SELECT {columns} FROM run"))
        if run.status == "recording":
            reason = "the recorder is still running, or was killed before its end"
            run = dataclasses.replace(run, status="partial", reason=reason)
        return Profile(
            path=path,
            run=run,
            machine=tuple(_rows(db, Fact, "SELECT * FROM machine")),
            subject=dict(db.execute("SELECT * FROM subject").fetchall()),
            passes=tuple(_rows(db, PassRow, "SELECT * FROM pass ORDER BY start_ns")),
            probe_reports=tuple(_rows(db, ProbeReportRow, "SELECT * FROM probe_report ORDER BY rowid")),
            spans=tuple(_rows(db, SpanRow, "SELECT * FROM span ORDER BY pass_name, start_ns, id")),
            frames={row[0]: Frame(*row[1:]) for row in db.execute("SELECT * FROM frame")},
            nodes={node.id: node for node in _rows(db, Node, "SELECT * FROM node ORDER BY id")},
            metrics={row[0]: Metric(*row[1:]) for row in db.execute("SELECT * FROM metric")},
            windows=tuple(_rows(db, WindowRow, "SELECT * FROM window ORDER BY id")),
            cells=tuple(_rows(db, CellRow, "SELECT * FROM cell")),
            anchors=tuple(_rows(db, AnchorRow, "SELECT * FROM anchor ORDER BY pass_name, repetition, step")),
            gauges=tuple(_rows(db, GaugeRow, "SELECT * FROM gauge ORDER BY rowid")),
        )
    finally:
        db.close()


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    db = sqlite3.connect(f"{uri}?mode=ro", uri=True)
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        # A file whose writer was killed needs its write-ahead log, which a read-only folder can't open.
        db.close()
        db = sqlite3.connect(f"{uri}?immutable=1", uri=True)
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise UnreadableProfileError(f"{path}: a SQLite file, but not a llmflame profile")
    if version > SCHEMA_VERSION:
        raise UnreadableProfileError(
            f"{path}: made by a newer llmflame (schema {version}, this one reads up to {SCHEMA_VERSION}): "
            "pip install --upgrade llmflame"
        )
    if version < 1:
        raise UnreadableProfileError(f"{path}: the recorder was killed before it wrote anything")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise UnreadableProfileError(f"{path}: damaged ({verdict.splitlines()[-1]})")


def _rows(db: sqlite3.Connection, kind: type[R], query: str) -> Iterator[R]:
    for row in db.execute(query):
        yield kind(*row)
