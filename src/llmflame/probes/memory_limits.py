"""How much memory a process may have, by whose limit, and how often its control group ran out of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from llmflame.probes.machine.cgroups import Place, place_of, read_level
from llmflame.probes.machine.mounts import parse_mounts
from llmflame.probes.machine.outside import read_file

KIB = 1024
_RLIMITS = (("RLIMIT_AS", "Max address space"), ("RLIMIT_DATA", "Max data size"))
_HELD_KEYS = {1: ("total_rss", "total_shmem"), 2: ("anon", "shmem")}
"""Of memory.stat, by the version of control groups: what can't be given back without swapping."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that is set. `name` is what sets it."""

    name: str
    bytes: int
    group: Path | None = None
    """The control group's folder."""
    version: int | None = None
    """Of the control groups."""

    def held_bytes(self) -> int | None:
        """Anonymous and shared bytes of all processes in the group; None where that isn't known."""
        if self.group is None or self.version is None:
            return None
        keys = _HELD_KEYS[self.version]
        counts = _counts(self.group / "memory.stat")
        return sum(counts[key] for key in keys) if all(key in counts for key in keys) else None


@dataclass(frozen=True, slots=True)
class Limits:
    """All memory limits of a process that could be read, the smallest first."""

    all: tuple[Limit, ...]

    @classmethod
    def of(cls, pid: int | str, root: Path = Path("/")) -> Limits:
        """Control groups up to the top, resource limits, and the machine's memory. `pid` may be `self`."""
        found = [*_of_groups(pid, root), *_of_process(pid, root), *_of_machine(root)]
        return cls(tuple(sorted(found, key=lambda limit: limit.bytes)))

    @property
    def smallest(self) -> Limit | None:
        """The one that is hit first, as far as one can tell."""
        return self.all[0] if self.all else None

    @property
    def cgroup(self) -> Limit | None:
        """The tightest of the control groups: whoever passes it is killed."""
        return next((limit for limit in self.all if limit.group is not None), None)


def oom_kills(pid: int | str, root: Path = Path("/")) -> int | None:
    """How many processes of a process' control group were killed because memory ran out; None if unknown."""
    place = _place(pid, root)
    if place is None:
        return None
    name = "memory.events" if place.version == 2 else "memory.oom_control"
    return _counts(root / place.folders[0] / name).get("oom_kill")


def _place(pid: int | str, root: Path) -> Place | None:
    groups = read_file(root, f"proc/{pid}/cgroup")
    mounts = read_file(root, "proc/self/mountinfo")
    if groups.text is None or mounts.text is None:
        return None
    return place_of(groups.text, parse_mounts(mounts.text), "memory")


def _of_groups(pid: int | str, root: Path) -> list[Limit]:
    place = _place(pid, root)
    if place is None:
        return []
    name = "cgroup memory.max" if place.version == 2 else "cgroup memory.limit_in_bytes"
    levels = [(folder, read_level(root, folder, place.version, "memory").limit) for folder in place.folders]
    return [
        Limit(name, int(limit), root / folder, place.version)
        for folder, limit in levels
        if limit is not None and not math.isinf(limit)
    ]


def _of_process(pid: int | str, root: Path) -> list[Limit]:
    text = read_file(root, f"proc/{pid}/limits").text or ""
    found = ((name, re.search(rf"^{words}\s+(\d+)", text, re.MULTILINE)) for name, words in _RLIMITS)
    return [Limit(name, int(match[1])) for name, match in found if match]


def _of_machine(root: Path) -> list[Limit]:
    match = re.search(r"^MemTotal:\s+(\d+) kB", read_file(root, "proc/meminfo").text or "", re.MULTILINE)
    return [Limit("physical memory", int(match[1]) * KIB)] if match else []


def _counts(path: Path) -> dict[str, int]:
    """A file of lines `name number`; empty where it can't be read."""
    try:
        lines = path.read_bytes().decode("ascii", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
