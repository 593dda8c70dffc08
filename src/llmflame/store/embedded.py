"""Profiles inside an experiment's file, each addressed as FILE.llmflame:ROW or FILE.llmflame:ROW@BATCH."""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmflame.errors import UnreadableProfileError

_ADDRESS = re.compile(r"(?P<file>.+\.llmflame):(?P<row>[^@]+)(?:@(?P<batch>\d{1,9}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RowAddress:
    """A row of an experiment's file; the batch size may be left out where there is but one."""

    file: Path
    row: str
    batch: int | None


def row_address(path: Path) -> RowAddress | None:
    """What a path says of a row; None where it is a plain path, or a file of that very name exists."""
    match = _ADDRESS.fullmatch(str(path))
    if match is None or path.is_file():
        return None
    batch = match["batch"]
    return RowAddress(Path(match["file"]), match["row"], int(batch) if batch else None)


def embedded_profile(db: sqlite3.Connection, address: RowAddress) -> bytes:
    """The bytes of a row's profile. Raises UnreadableProfileError with the rows that there are."""
    there: Sequence[tuple[str, int]] = db.execute(
        "SELECT row, batch FROM row_profile ORDER BY 1, 2"
    ).fetchall()
    found = [(row, batch) for row, batch in there if row == address.row and address.batch in (None, batch)]
    if len(found) != 1:
        names = ", ".join(f"{row}@{batch}" for row, batch in there) or "none"
        problem = "say which batch size" if found else f"no profile of a row {address.row}"
        raise UnreadableProfileError(f"{address.file}: {problem}; rows with a profile: {names}")
    size, data = db.execute(
        "SELECT size, data FROM row_profile WHERE row = ? AND batch = ?", found[0]
    ).fetchone()
    try:
        whole = zlib.decompressobj().decompress(data, size)
    except (zlib.error, TypeError, ValueError) as error:
        raise UnreadableProfileError(f"{address.file}: damaged (the profile of {address.row})") from error
    if len(whole) != size:
        raise UnreadableProfileError(f"{address.file}: damaged (the profile of {address.row} is cut off)")
    return whole
