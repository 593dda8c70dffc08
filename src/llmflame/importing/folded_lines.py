"""Collapsed stacks: one a line, `a;b;c 12`, as flamegraph.pl and inferno read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.importing.text_file import lines

MAX_DEPTH = 2_000
"""Frames of a stack: twice what Python allows by default."""
MOST = 1 << 53
"""Of one stack's value: as far as whole numbers of a double reach."""
_VALUE = re.compile(r"\d{1,16}(?:\.\d{1,9})?")
_LOOKED_AT = 20
"""Lines of a file's beginning that must be stacks."""


def is_folded(text: str) -> bool:
    """Does the beginning of a file look like such stacks? Its last line may be cut."""
    found = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    looked_at = found[:-1][:_LOOKED_AT] or found
    return bool(looked_at) and all(_split(line) is not None for line in looked_at)


def read_stacks(path: Path) -> Iterator[tuple[list[str], float]]:
    """Each stack from its root, with its value. Raises UsageError with the line that is none."""
    for number, line in lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        parts = _split(line)
        if parts is None:
            raise UsageError(f"{path}: line {number} is no stack with a value, as in main;forward;mm 12")
        frames = [frame for frame in parts[0].split(";") if frame]
        if len(frames) > MAX_DEPTH:
            raise UsageError(f"{path}: line {number} has {len(frames):,} frames, more than {MAX_DEPTH:,}")
        value = float(parts[1])
        if value > MOST:
            raise UsageError(f"{path}: line {number} has the value {parts[1]}, more than {MOST:,}")
        if frames and value:
            yield frames, value


def _split(line: str) -> tuple[str, str] | None:
    """A stack and its value; None where the line is something else."""
    parts = line.rsplit(None, 1)
    return (parts[0].strip(), parts[1]) if len(parts) == 2 and _VALUE.fullmatch(parts[1]) else None
