"""Reading from outside the process: a file or a command answers, or the reading says why it did not."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

READ_LIMIT_BYTES = 4 * 1024 * 1024
# Files of /proc/sys refuse a larger read: the kernel sets aside as much memory as is asked for.
CHUNK_BYTES = 64 * 1024
COMMAND_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source answered. `text` None: no answer, and `source` says why."""

    text: str | None
    source: str
    missing: bool = False
    """Whether the file is simply not there: it says something, where an unreadable file says nothing."""

    def then(self, pick: Callable[[str], str | None]) -> Reading:
        """The part of the answer that `pick` finds; without one, a reading that says so."""
        if self.text is None:
            return self
        picked = pick(self.text)
        return Reading(picked, self.source if picked is not None else f"{self.source}: not stated")


def why(error: BaseException) -> str:
    """A few words about an error, on one line."""
    if isinstance(error, FileNotFoundError):
        return "not found"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_this_machine(root: Path) -> bool:
    """Whether `root` is the machine that runs this, so that library calls speak of the same one."""
    return root == Path("/")


def read_file(root: Path, name: str) -> Reading:
    """The stripped text of the file `name` (no leading slash) under `root`, at most `READ_LIMIT_BYTES`."""
    shown = f"/{name}"
    try:
        with (root / name).open("rb", buffering=0) as stream:
            chunks = iter(lambda: stream.read(CHUNK_BYTES), b"")
            raw = b"".join(islice(chunks, READ_LIMIT_BYTES // CHUNK_BYTES))
    except (OSError, ValueError) as error:
        return Reading(None, f"{shown}: {why(error)}", isinstance(error, FileNotFoundError))
    text = raw.decode("utf-8", "replace").strip()
    return Reading(text or None, shown if text else f"{shown}: empty")


def read_first(root: Path, *names: str) -> Reading:
    """The first of some files that has text; without one, the reading of the first name."""
    readings = []
    for name in names:
        readings.append(read_file(root, name))
        if readings[-1].text is not None:
            return readings[-1]
    return readings[0]


def names_in(root: Path, folder: str, pattern: str) -> list[str]:
    """Sorted names (numbers in numeric order) in a folder that fully match a regular expression."""
    try:
        names = [entry.name for entry in (root / folder).iterdir() if re.fullmatch(pattern, entry.name)]
    except (OSError, ValueError):
        return []
    return sorted(names, key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else -1, part) for part in re.findall(r"\d+|\D+", name)]


def run_command(argv: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Reading:
    """Standard output of a command run in the C locale, or why there is none."""
    shown = " ".join(argv)
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Reading(None, f"{shown}: no answer in {timeout_s:g} s")
    except (OSError, ValueError) as error:
        return Reading(None, f"{shown}: {why(error)}")
    if done.returncode != 0:
        return Reading(None, f"{shown}: exit status {done.returncode}")
    text = done.stdout[:READ_LIMIT_BYTES].decode("utf-8", "replace").strip()
    return Reading(text or None, shown if text else f"{shown}: empty")
