"""A profile as it was stored: typed tables, read at once. Needs neither torch nor a GPU."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any, TypeVar

from llmflame.errors import UnreadableProfileError
from llmflame.store.checks import broken_reference, unkept_promise
from llmflame.store.embedded import RowAddress, embedded_profile, row_address
from llmflame.store.lab_rows import (
    LAB_ROWS,
    AgreementRow,
    LabRequestRow,
    LabRow,
    RowProfileRow,
    TrialRow,
)
from llmflame.store.model import Fact, Frame, Metric, Node
from llmflame.store.rows import (
    STREAMED,
    AnchorRow,
    CellRow,
    DeviceWorkRow,
    GaugeRow,
    HoldingRow,
    InstructionRow,
    MomentRow,
    PassRow,
    PredictionRow,
    ProbeReportRow,
    ReadingRow,
    SliceRow,
    SpanRow,
    StallKernelRow,
    StallRow,
    Status,
    ThreadRow,
    ThreadSliceRow,
    TransferRow,
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
    """`processes`: each pass in a fresh child; `in-process`: all passes beside a live object; `lab`: an
    experiment, whose rows have profiles of their own."""


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
    slices: tuple[SliceRow, ...] = ()
    threads: tuple[ThreadRow, ...] = ()
    thread_slices: tuple[ThreadSliceRow, ...] = ()
    device_work: tuple[DeviceWorkRow, ...] = ()
    moments: tuple[MomentRow, ...] = ()
    holdings: tuple[HoldingRow, ...] = ()
    readings: tuple[ReadingRow, ...] = ()
    transfers: tuple[TransferRow, ...] = ()
    predictions: tuple[PredictionRow, ...] = ()
    stall_kernels: tuple[StallKernelRow, ...] = ()
    stalls: tuple[StallRow, ...] = ()
    instructions: tuple[InstructionRow, ...] = ()
    lab_rows: tuple[LabRow, ...] = ()
    trials: tuple[TrialRow, ...] = ()
    lab_requests: tuple[LabRequestRow, ...] = ()
    agreements: tuple[AgreementRow, ...] = ()
    row_profiles: tuple[RowProfileRow, ...] = ()


KINDS: Mapping[str, type] = {
    "run": Run,
    "machine": Fact,
    "frame": Frame,
    "node": Node,
    "metric": Metric,
    "cell": CellRow,
    "slice": SliceRow,
    "device_work": DeviceWorkRow,
    "thread": ThreadRow,
    "thread_slice": ThreadSliceRow,
    **{kind.table: kind for kind in (*STREAMED, *LAB_ROWS)},
}
"""What the rows of each table become."""
SINCE = {
    "slice": 2,
    "device_work": 2,
    "moment": 3,
    "holding": 3,
    "reading": 3,
    "transfer": 3,
    "prediction": 3,
    "stall_kernel": 4,
    "stall": 4,
    "instruction": 4,
    "thread": 5,
    "thread_slice": 5,
    **dict.fromkeys((kind.table for kind in LAB_ROWS), 6),
}
"""The schema's version that brought a table; older files have none of its rows."""


def read_profile(path: Path | str, *, timelines: bool = True, cells: bool = True) -> Profile:
    """Open a profile read-only and read it. Raises UnreadableProfileError with one line.

    Without `timelines` slices are left in the file where no device worked, and those of threads everywhere:
    they are most of a CPU's profile, and nothing but a picture of a window over time asks for them. Without
    `cells` nothing is known of what frames took: such a picture doesn't ask. `FILE.llmflame:ROW` is the
    profile of an experiment's row.
    """
    path = Path(path)
    if (address := row_address(path)) is not None:
        return _read_embedded(address, path, timelines=timelines, cells=cells)
    try:
        if not path.is_file():
            raise UnreadableProfileError(f"{path}: no such file")
        with _opened(path) as db:
            return _read(db, path, timelines=timelines, cells=cells)
    except OSError as error:
        raise UnreadableProfileError(f"{path}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise UnreadableProfileError(f"{path}: damaged or not a profile ({error})") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnreadableProfileError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def _read_embedded(address: RowAddress, path: Path, *, timelines: bool, cells: bool) -> Profile:
    read_profile(address.file, timelines=False, cells=False)  # says what is wrong with the file itself
    try:
        with _opened(address.file) as db, _temporary_folder() as folder:
            extracted = Path(folder) / "row.llmflame"
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version < SINCE["row_profile"]:
                raise UnreadableProfileError(f"{address.file}: no experiment, it has no rows")
            extracted.write_bytes(embedded_profile(db, address))
            return dataclasses.replace(read_profile(extracted, timelines=timelines, cells=cells), path=path)
    except (OSError, sqlite3.Error) as error:
        raise UnreadableProfileError(f"{address.file}: {error}") from error


def _read(db: sqlite3.Connection, path: Path, *, timelines: bool, cells: bool) -> Profile:
    db.execute("BEGIN")  # one state of the file for all tables, though a recorder may be writing it
    tables = _check(db, path, timelines=timelines, cells=cells)
    run = _run(db, path)
    return Profile(
        path=path,
        run=run,
        machine=tuple(_rows(db, Fact, "machine")),
        subject=dict(db.execute("SELECT name, value FROM subject").fetchall()),
        passes=tuple(_rows(db, PassRow, "pass ORDER BY start_ns")),
        probe_reports=tuple(_rows(db, ProbeReportRow, "probe_report ORDER BY rowid")),
        spans=tuple(_rows(db, SpanRow, "span ORDER BY pass_name, start_ns, id")),
        frames=_numbered(db, Frame, "frame"),
        nodes={node.id: node for node in _rows(db, Node, "node ORDER BY id")},
        metrics=_numbered(db, Metric, "metric"),
        windows=tuple(_rows(db, WindowRow, "window ORDER BY id")),
        cells=tuple(_rows(db, CellRow, "cell")) if "cell" in tables else (),
        anchors=tuple(_rows(db, AnchorRow, "anchor ORDER BY pass_name, repetition, step")),
        gauges=tuple(_rows(db, GaugeRow, "gauge ORDER BY rowid")),
        **{
            name: tuple(_rows(db, kind, order)) if order.split()[0] in tables else ()
            for name, kind, order in _LATER
        },
    )


def _has_rows(db: sqlite3.Connection, tables: Collection[str], table: str) -> bool:
    return table in tables and db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


_LATER: tuple[tuple[str, type, str], ...] = (
    ("slices", SliceRow, "slice ORDER BY window, number"),
    ("threads", ThreadRow, "thread ORDER BY window, number"),
    ("thread_slices", ThreadSliceRow, "thread_slice ORDER BY window, thread, number"),
    ("device_work", DeviceWorkRow, "device_work ORDER BY window, number"),
    ("moments", MomentRow, "moment ORDER BY pass_name, time_ns, id"),
    ("holdings", HoldingRow, "holding ORDER BY pass_name, moment, space, category, owner"),
    ("readings", ReadingRow, "reading ORDER BY pass_name, moment, name"),
    ("transfers", TransferRow, "transfer ORDER BY rowid"),
    ("predictions", PredictionRow, "prediction ORDER BY phase, space, category"),
    ("stall_kernels", StallKernelRow, "stall_kernel ORDER BY pass_name, id"),
    ("stalls", StallRow, "stall ORDER BY rowid"),
    ("instructions", InstructionRow, "instruction ORDER BY pass_name, kernel, pc"),
    ("lab_rows", LabRow, "lab_row ORDER BY number"),
    ("trials", TrialRow, "trial ORDER BY number"),
    ("lab_requests", LabRequestRow, "lab_request ORDER BY row, batch, round, number"),
    ("agreements", AgreementRow, "agreement ORDER BY row, batch, name"),
    ("row_profiles", RowProfileRow, "row_profile ORDER BY row, batch"),
)
"""Fields of a profile that older files don't have: the field, its rows, and their table in order."""


def _run(db: sqlite3.Connection, path: Path) -> Run:
    run = next(_rows(db, Run, "run"), None)
    if run is None:
        raise UnreadableProfileError(f"{path}: damaged (it doesn't say which run it is of)")
    if run.status == "recording":
        reason = "the recorder is still running, or was killed before its end"
        run = dataclasses.replace(run, status="partial", reason=reason)
    return run


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.ExitStack() as stack:
        try:
            db = _connect(stack, path, "mode=ro")
        except sqlite3.OperationalError:
            # A file whose writer was killed needs its write-ahead log, which a read-only folder can't open.
            if _has_log(path):
                path = _copy_with_log(path, Path(stack.enter_context(_temporary_folder())))
                db = _connect(stack, path, "mode=ro")
            else:
                db = _connect(stack, path, "immutable=1")
        yield db


def _connect(stack: contextlib.ExitStack, path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    stack.callback(db.close)
    db.execute("SELECT count(*) FROM sqlite_master")
    return db


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _has_log(path: Path) -> bool:
    log = _log_of(path)
    return log.is_file() and log.stat().st_size > 0


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="llmflame-")


def _copy_with_log(path: Path, folder: Path) -> Path:
    copied = folder / "copy.llmflame"
    shutil.copyfile(path, copied)
    shutil.copyfile(_log_of(path), _log_of(copied))
    return copied


def _check(db: sqlite3.Connection, path: Path, *, timelines: bool, cells: bool) -> Mapping[str, type]:
    """The tables that are read. Raises UnreadableProfileError where it keeps no promise of theirs."""
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
    tables = {name: kind for name, kind in KINDS.items() if SINCE.get(name, 1) <= version}
    if not timelines:
        for table in ("thread", "thread_slice"):
            tables.pop(table, None)
        if not _has_rows(db, tables, "device_work"):
            tables.pop("slice", None)
    if not cells:
        tables.pop("cell")
    damage = _cut(db, path) or _broken_page(db) or unkept_promise(db, tables) or broken_reference(db, tables)
    if damage:
        raise UnreadableProfileError(f"{path}: damaged ({damage})")
    return tables


def _cut(db: sqlite3.Connection, path: Path) -> str | None:
    """SQLite pads a last page that is cut with zeros, in silence. Pages that are missing may be in a log."""
    if _has_log(path):
        return None
    (page_size,) = db.execute("PRAGMA page_size").fetchone()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    size, wanted = path.stat().st_size, page_size * pages
    return f"cut off: {size:,} of {wanted:,} bytes" if size < wanted else None


def _broken_page(db: sqlite3.Connection) -> str | None:
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    return None if verdict == "ok" else str(verdict.splitlines()[-1])


def _columns(kind: type) -> str:
    """The columns that a row has. Others, of a newer minor schema, are left alone."""
    if dataclasses.is_dataclass(kind):
        names: Iterable[str] = (field.name for field in dataclasses.fields(kind))
    else:
        names = getattr(kind, "_fields", ())
    return ", ".join(f'"{name}"' for name in names)


def _rows(db: sqlite3.Connection, kind: type[R], table: str) -> Iterator[R]:
    """The rows of a table; `table` may say their order."""
    rows = db.execute(f"SELECT {_columns(kind)} FROM {table}")
    if issubclass(kind, tuple):  # a hundred thousand of them: no call of a Python function for each
        return map(partial(tuple.__new__, kind), rows)
    return starmap(kind, rows)


def _numbered(db: sqlite3.Connection, kind: type[R], table: str) -> dict[int, R]:
    return {row[0]: kind(*row[1:]) for row in db.execute(f"SELECT id, {_columns(kind)} FROM {table}")}
