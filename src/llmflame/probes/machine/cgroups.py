"""Control groups, version 1 and 2: where this process's group is, and what one level of it allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from llmflame.probes.machine.mounts import Mount
from llmflame.probes.machine.outside import Reading, read_file

Controller = Literal["cpu", "memory"]
# Version 1 writes the largest multiple of the page size where there is no limit.
V1_UNLIMITED_BYTES = 1 << 62


@dataclass(frozen=True, slots=True)
class Place:
    """The hierarchy that has a controller, and its folders: the process's own group first, the top last."""

    version: Literal[1, 2]
    folders: list[str]


@dataclass(frozen=True, slots=True)
class Level:
    """What one group allows: `math.inf` for no limit, None where it was not understood."""

    limit: float | None
    source: str
    missing: bool = False


def place_of(groups: str, mounts: list[Mount], controller: Controller) -> Place | None:
    """Where a controller acts on the process of /proc/self/cgroup; None if it is not mounted."""
    unified: Place | None = None
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon:
            continue
        for mount in mounts:
            named = controller in controllers.split(",") and controller in mount.options
            if mount.filesystem == "cgroup" and named:
                return Place(1, _folders(mount, path))
            if mount.filesystem == "cgroup2" and line.startswith("0::"):
                unified = Place(2, _folders(mount, path))
    return unified


def read_level(root: Path, folder: str, version: int, controller: Controller) -> Level:
    """The limit that the group in `folder` sets."""
    if controller == "memory":
        name = "memory.max" if version == 2 else "memory.limit_in_bytes"
        return _memory(read_file(root, f"{folder}/{name}"))
    if version == 2:
        reading = read_file(root, f"{folder}/cpu.max")
        quota, _, period = (reading.text or "").partition(" ")
        return _cpu(reading, quota, period)
    reading = read_file(root, f"{folder}/cpu.cfs_quota_us")
    return _cpu(reading, reading.text or "", read_file(root, f"{folder}/cpu.cfs_period_us").text or "")


def is_machine_root(root: Path, place: Place) -> bool:
    """Whether the top folder is the machine's own root group, above which nothing can set a limit."""
    top = place.folders[-1]
    if not (root / top).is_dir():
        return False
    # Of version 2's groups only the real root has no cgroup.type; a container's top group has one.
    # Of version 1's groups only the real root lacks the limit files, which is what the caller saw.
    return place.version == 1 or read_file(root, f"{top}/cgroup.type").missing


def _folders(mount: Mount, path: str) -> list[str]:
    group, top = PurePosixPath(path), PurePosixPath(mount.root)
    # A group outside of what is mounted is seen at the mount itself.
    outside = not group.is_relative_to(top) or ".." in group.parts
    own = PurePosixPath() if outside else group.relative_to(top)
    levels = [own, *own.parents]
    return [(mount.point / level).as_posix().lstrip("/") for level in levels]


def _memory(reading: Reading) -> Level:
    text = reading.text or ""
    if text in ("max", "-1"):
        return Level(math.inf, reading.source)
    if _is_number(text):
        return Level(int(text) if int(text) < V1_UNLIMITED_BYTES else math.inf, reading.source)
    return _unknown(reading)


def _cpu(reading: Reading, quota: str, period: str) -> Level:
    if quota in ("max", "-1"):
        return Level(math.inf, reading.source)
    if _is_number(quota) and _is_number(period) and int(period) > 0:
        return Level(int(quota) / int(period), reading.source)
    return _unknown(reading)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def _unknown(reading: Reading) -> Level:
    words = reading.source if reading.text is None else f"{reading.source}: not understood"
    return Level(None, words, reading.missing)
