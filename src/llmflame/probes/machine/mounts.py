"""/proc/self/mountinfo: what is mounted where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: where, what part of which file system, from which device."""

    device_number: str
    root: str
    point: PurePosixPath
    filesystem: str
    device: str
    options: tuple[str, ...]


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The mounts in the order of the file; lines that are not understood are left out."""
    mounts: list[Mount] = []
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if not dash or len(before) < 6 or len(after) < 2:
            continue
        options = tuple(after[2].split(",")) if len(after) > 2 else ()
        point = PurePosixPath(_unescaped(before[4]))
        mounts.append(Mount(before[2], _unescaped(before[3]), point, after[0], _unescaped(after[1]), options))
    return mounts


def mount_of(folder: PurePosixPath, mounts: list[Mount]) -> Mount | None:
    """The mount that holds an absolute folder: the deepest one, and of those at one place the last."""
    holders = [mount for mount in mounts if folder.is_relative_to(mount.point)]
    return (
        max(enumerate(holders), key=lambda pair: (len(pair[1].point.parts), pair[0]))[1] if holders else None
    )


def _unescaped(text: str) -> str:
    # The kernel writes space, tab, newline and backslash as three octal digits.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
