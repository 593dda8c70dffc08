"""How much of a profile's bytes is there for its memory view."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

from llmflame.store import metrics

TABLES = ("moment", "holding", "reading", "prediction", "gauge")
CELLS = (metrics.HELD, metrics.DEVICE_HELD, metrics.LEFT, metrics.DEVICE_LEFT, metrics.PINNED)
PASS = "memory"


def sizes(path: Path) -> dict[str, int]:
    """Bytes of the file with everything and without what the memory view stores, both packed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.llmflame"
        shutil.copyfile(path, copy)
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
            db.execute("VACUUM")
            whole = copy.stat().st_size
            _strip(db)
            db.execute("VACUUM")
            return {"with": whole, "without": copy.stat().st_size, "as written": path.stat().st_size}


def _strip(db: sqlite3.Connection) -> None:
    for table in TABLES:
        db.execute(f"DELETE FROM {table}")
    for table in ("span", "probe_report"):
        db.execute(f"DELETE FROM {table} WHERE pass_name = ?", (PASS,))
    db.executemany("DELETE FROM cell WHERE metric = ?", [(metrics.ID[metric.name],) for metric in CELLS])
    db.execute("DELETE FROM node WHERE frame IN (SELECT id FROM frame WHERE kind = 'memory')")
