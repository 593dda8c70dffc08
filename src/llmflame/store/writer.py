"""Writes a profile as the run goes, so that whatever ends the run leaves a readable file.

The status is `recording` until `finish`; a reader shows a file whose writer is gone as `partial`. Each
batch is one transaction. When the disk is full, a small reserve beside the file is given up so that the
status can still be written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from llmflame.errors import ProgramFailedError, UsageError
from llmflame.store import metrics
from llmflame.store.lab_rows import LabRow, LabTable
from llmflame.store.model import Fact
from llmflame.store.observed import FrameKey, ObservedTree
from llmflame.store.rows import MAIN_THREAD, PassRow, Row, Status, WindowRow
from llmflame.store.text import storable

Scalar = str | int | float | bool | None

APPLICATION_ID = 0x4C4C4D46
"""SQLite's own mark of a file's kind: "LLMF"."""
SCHEMA_VERSION = 6
"""2 added `slice` and `device_work`, 3 the tables of memory, 4 those of stalls, 5 `thread` and
`thread_slice`, 6 those of experiments; older files are read as ones without them."""
LOG_SUFFIXES = ("-wal", "-shm")
"""Files that SQLite keeps beside a database that was not closed."""
RESERVE_BYTES = 256 * 1024
"""Enough for SQLite to commit a status when nothing else is left on the disk."""
READER_WAIT_MS = 1000
"""How long the end of a recording waits for somebody who reads the file."""


class DiskFullError(ProgramFailedError):
    """The file can't grow any more; what was committed before stays readable."""


class ProfileWriter:
    """Owns the file from creation to `finish` or `abandon`. Not for use by several threads at once."""

    def __init__(self, path: Path, *, version: str, mode: str, max_pages: int | None = None) -> None:
        self.path = path
        self._nodes: dict[tuple[int | None, FrameKey], int] = {}
        self._frames: dict[FrameKey, int] = {}
        self._reserve = path.with_name(path.name + "-reserve")
        try:
            self._open(version, mode, max_pages)
        except DiskFullError as error:
            raise UsageError(str(error)) from error
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"can't write {path}: {error}") from error

    def _open(self, version: str, mode: str, max_pages: int | None) -> None:
        if self.path.exists() and self.path.stat().st_size:
            raise FileExistsError("there is a file of that name")
        with contextlib.ExitStack() as undo:
            undo.callback(remove_profile, self.path)
            self._reserve.write_bytes(b"\0" * RESERVE_BYTES)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            undo.callback(self._db.close)
            self._create(version, mode, max_pages)
            undo.pop_all()

    def _create(self, version: str, mode: str, max_pages: int | None) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if max_pages is not None:
            db.execute(f"PRAGMA max_page_count = {int(max_pages)}")
        schema = resources.files("llmflame.store").joinpath("schema.sql").read_text("utf-8")
        db.executescript(f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; {schema} COMMIT;")
        with self._transaction():
            started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            db.execute(
                "INSERT INTO run VALUES (1, ?, ?, NULL, 'recording', NULL, ?)", (version, started, mode)
            )
            db.executemany(
                "INSERT INTO metric VALUES (?, ?, ?, ?, ?)",
                [(metrics.ID[m.name], m.name, m.unit, m.fold, m.label) for m in metrics.ALL],
            )
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Any:
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise DiskFullError(f"can't write {self.path}: {error}") from error
            raise
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def facts(self, facts: Iterable[Fact]) -> None:
        """Store what the machine is."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO machine VALUES (?, ?, ?, ?, ?)",
                [_plain(dataclasses.astuple(fact)) for fact in facts],
            )

    def subject(self, properties: Mapping[str, Scalar]) -> None:
        """Store or amend what was run."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO subject VALUES (?, ?)", [_plain(row) for row in properties.items()]
            )

    def rows(self, rows: Iterable[Row | LabTable]) -> None:
        """Store rows of any tables in one transaction. A pass or a lab's row replaces the one of its name."""
        with self._transaction():
            for row in rows:
                self._insert(row)

    def _insert(self, row: Row | LabTable) -> None:
        values = _plain(dataclasses.astuple(row))
        verb = "INSERT OR REPLACE" if isinstance(row, PassRow | LabRow) else "INSERT"
        self._db.execute(f"{verb} INTO {row.table} VALUES ({', '.join('?' * len(values))})", values)

    def embed(self, row: str, batch: int, profile: Path) -> None:
        """Store the profile of an experiment's row, compressed. Raises OSError where it can't be read."""
        data = profile.read_bytes()
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO row_profile VALUES (?, ?, ?, ?)",
                (row, batch, len(data), zlib.compress(data)),
            )

    def tree(self, window: WindowRow, tree: ObservedTree) -> None:
        """Store one window and all that was seen in it."""
        known_nodes, known_frames = dict(self._nodes), dict(self._frames)
        try:
            with self._transaction():
                self._insert(window)
                self._cells(window, tree)
        except BaseException:
            self._nodes, self._frames = known_nodes, known_frames
            raise

    def _cells(self, window: WindowRow, tree: ObservedTree) -> None:
        phase = self._node(None, ("phase", window.span_name, None, None, None))
        ids = [phase]
        for parent, frame in zip(tree.parents[1:], tree.frames[1:], strict=True):
            assert frame is not None
            ids.append(self._node(ids[parent], frame))
        for metric, cells in tree.cells.items():
            self._db.executemany(
                "INSERT INTO cell VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET value = value + excluded.value",
                [
                    (window.id, ids[node], metrics.ID[metric], round(value))
                    for node, value in cells.items()
                    if value
                ],
            )
        self._db.executemany(
            "INSERT INTO slice VALUES (?, ?, ?, ?)",
            [(window.id, number, ids[node], start) for number, (node, start) in enumerate(tree.slices)],
        )
        self._threads(window, tree, ids)
        self._db.executemany(
            "INSERT INTO device_work VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(window.id, number, ids[node], *rest) for number, (node, *rest) in enumerate(tree.device_work)],
        )

    def _threads(self, window: WindowRow, tree: ObservedTree, ids: list[int]) -> None:
        others = itertools.count(MAIN_THREAD + 1)
        for thread in tree.threads:
            number = MAIN_THREAD if thread.is_main else next(others)
            name = _plain([thread.name])[0]
            self._db.execute(
                "INSERT INTO thread VALUES (?, ?, ?, ?)", (window.id, number, name, thread.native_id)
            )
            self._db.executemany(
                "INSERT INTO thread_slice VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (window.id, number, place, ids[node], start, end)
                    for place, (node, start, end) in enumerate(thread.stays)
                ],
            )

    def _node(self, parent: int | None, frame: FrameKey) -> int:
        key = (parent, frame)
        node = self._nodes.get(key)
        if node is None:
            number = self._frame(frame)
            node = len(self._nodes) + 1
            self._db.execute("INSERT INTO node VALUES (?, ?, ?)", (node, parent, number))
            self._nodes[key] = node
        return node

    def _frame(self, frame: FrameKey) -> int:
        number = self._frames.get(frame)
        if number is None:
            number = len(self._frames) + 1
            self._db.execute("INSERT INTO frame VALUES (?, ?, ?, ?, ?, ?)", (number, *_plain(frame)))
            self._frames[frame] = number
        return number

    def finish(self, status: Status, reason: str | None = None) -> None:
        """Say how the run ended and close, into a single file where that can be."""
        ended = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._reserve.unlink(missing_ok=True)
        reason = storable(reason) if reason else None
        try:
            self._db.execute("PRAGMA max_page_count = 4294967294")
            with self._transaction():
                self._db.execute(
                    "UPDATE run SET ended_at = ?, status = ?, reason = ? WHERE id = 1",
                    (ended, status, reason),
                )
            self._into_one_file()
        finally:
            self._db.close()

    def _into_one_file(self) -> None:
        """Fold the write-ahead log into the file, unless somebody reads it or the disk is full.

        Then the log stays beside the file: all is committed, and readers find it there.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            self._db.execute(f"PRAGMA busy_timeout = {READER_WAIT_MS}")
            self._db.execute("PRAGMA journal_mode = DELETE")

    def abandon(self) -> None:
        """Close and remove the file: nothing was recorded that anybody could want."""
        self._db.close()
        remove_profile(self.path)


def unfinished_beside(output: Path) -> Path:
    """Where to write while `output` exists and is to be replaced: it stays until the new file is whole."""
    return output.with_name(f".{output.name}.{os.getpid()}") if output.exists() else output


def move_profile(source: Path, target: Path) -> None:
    """Move a profile over another, each with what may lie beside it.

    A log that belongs to the replaced file would be replayed into the new one.
    """
    if source == target:
        return
    for suffix in LOG_SUFFIXES:
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    source.replace(target)
    for suffix in LOG_SUFFIXES:
        beside = source.with_name(source.name + suffix)
        if beside.exists():
            beside.replace(target.with_name(target.name + suffix))


def remove_profile(path: Path) -> None:
    """The file and all that lies beside it; what can't be removed wasn't made."""
    for suffix in ("", "-wal", "-shm", "-reserve", "-journal"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _plain(values: Iterable[object]) -> list[object]:
    return [storable(value) if isinstance(value, str) else value for value in values]
