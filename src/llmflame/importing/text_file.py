"""A text file of another tool, line by line: from anywhere, of any size, perhaps no text at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from llmflame.errors import UsageError

MAX_LINE_BYTES = 8 << 20
"""All metrics of a kernel in one line are tens of kilobytes, a deep stack of templates a few more."""
HEAD_BYTES = 1 << 16
"""What is looked at to tell a format."""
_MARK = b"\xef\xbb\xbf"
"""Editors on Windows put it before UTF-8."""


def head(path: Path) -> str:
    """The beginning of a file. Raises UsageError where it can't be read, is empty, or is no text."""
    with _opened(path) as file:
        start = file.read(HEAD_BYTES)
    if not start.strip():
        raise UsageError(f"{path}: empty")
    if b"\0" in start:
        raise UsageError(f"{path}: a binary file, not text{_known(start)}")
    return _text(start.removeprefix(_MARK))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1, without its end. Bytes that are not UTF-8 become visible escapes.

    Raises UsageError with the line's number for one that no tool writes.
    """
    with _opened(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise UsageError(f"{path}: line {number} is longer than {MAX_LINE_BYTES:,} bytes")
            if b"\0" in line:
                raise UsageError(f"{path}: line {number} holds binary data")
            yield number, _text(line.removeprefix(_MARK) if number == 1 else line).rstrip("\r\n")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder: name a file") from None
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _known(start: bytes) -> str:
    if start.startswith(b"SQLite format 3"):
        return ": a profile of llmflame is opened with llmflame show"
    if start.startswith(b"NVR"):
        return ": export a report of Nsight Compute with ncu --import FILE --csv --page raw"
    return ""
