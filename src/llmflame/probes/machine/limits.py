"""The limits that control groups put on this process: containers and batch systems set them."""

from __future__ import annotations

import math
from pathlib import Path

from llmflame.probes.machine.cgroups import Controller, is_machine_root, place_of, read_level
from llmflame.probes.machine.mounts import parse_mounts
from llmflame.probes.machine.outside import Reading, read_file
from llmflame.store.model import Fact

SECTION = "limits"
NO_LIMIT = "no limit"
_FACTS: tuple[tuple[Controller, str, str], ...] = (
    ("cpu", "CPU limit", "CPUs"),
    ("memory", "memory limit", "bytes"),
)


def limit_facts(root: Path) -> list[Fact]:
    """CPU limit (in CPUs) and memory limit (bytes): the tightest over the process's group and all above."""
    groups = read_file(root, "proc/self/cgroup")
    mounts = read_file(root, "proc/self/mountinfo")
    return [_limit(root, groups, mounts, *names) for names in _FACTS]


def _limit(
    root: Path, groups: Reading, mounts: Reading, controller: Controller, name: str, unit: str
) -> Fact:
    if groups.text is None or mounts.text is None:
        return Fact(SECTION, name, None, unit, groups.source if groups.text is None else mounts.source)
    place = place_of(groups.text, parse_mounts(mounts.text), controller)
    if place is None:
        return Fact(SECTION, name, None, unit, f"/proc/self/cgroup: no {controller} controller mounted")
    levels = [read_level(root, folder, place.version, controller) for folder in place.folders]
    for level in levels:
        if level.limit is None and not level.missing:
            return Fact(SECTION, name, None, unit, level.source)
    known = [(level.limit, level.source) for level in levels if level.limit is not None]
    if known:
        tightest, source = min(known)
        if math.isinf(tightest):
            return Fact(SECTION, name, NO_LIMIT, None, source)
        return Fact(SECTION, name, tightest, unit, source)
    top = f"/{place.folders[-1]} (cgroup v{place.version})"
    if is_machine_root(root, place):
        return Fact(SECTION, name, NO_LIMIT, None, f"{top}: the machine's root group")
    return Fact(SECTION, name, None, unit, f"{top}: controller not enabled here")
