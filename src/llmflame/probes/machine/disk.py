"""The disk behind a folder: file system, device, kind, model and room."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from llmflame.probes.machine.block import block_facts
from llmflame.probes.machine.mounts import mount_of, parse_mounts
from llmflame.probes.machine.outside import is_this_machine, read_file, why
from llmflame.store.model import Fact

SECTION = "disk"


def disk_facts(root: Path, folder: Path) -> list[Fact]:
    """Facts about the disk that holds `folder` (which need not exist yet) and its free room in bytes."""
    return [*_mount_facts(root, _resolved(folder)), *_room(folder)]


def _resolved(folder: Path) -> Path:
    try:
        return folder.expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return folder


def _room(folder: Path) -> list[Fact]:
    try:
        place = next(place for place in (_resolved(folder), *_resolved(folder).parents) if place.exists())
        usage = shutil.disk_usage(place)
    except (OSError, ValueError, StopIteration) as error:
        source = f"shutil.disk_usage(): {why(error)}"
        return [Fact(SECTION, name, None, "bytes", source) for name in ("size", "free")]
    rows = (("size", usage.total), ("free", usage.free))
    return [Fact(SECTION, name, value, "bytes", "shutil.disk_usage()") for name, value in rows]


def _mount_facts(root: Path, folder: Path) -> list[Fact]:
    mountinfo = read_file(root, "proc/self/mountinfo")
    if mountinfo.text is None:
        return _from_psutil(root, folder, mountinfo.source)
    mount = mount_of(PurePosixPath(folder.as_posix()), parse_mounts(mountinfo.text))
    if mount is None:
        source = f"{mountinfo.source}: no mount holds the folder"
        return [Fact(SECTION, name, None, None, source) for name in ("filesystem", "device")]
    return [
        Fact(SECTION, "mount point", str(mount.point), None, mountinfo.source),
        Fact(SECTION, "filesystem", mount.filesystem, None, mountinfo.source),
        Fact(SECTION, "device", mount.device, None, mountinfo.source),
        *block_facts(root, mount),
    ]


@dataclass(frozen=True, slots=True)
class _Partition:
    point: str
    filesystem: str
    device: str


def _from_psutil(root: Path, folder: Path, why_not: str) -> list[Fact]:
    names = ("mount point", "filesystem", "device")
    if not is_this_machine(root):
        return [Fact(SECTION, name, None, None, why_not) for name in names]
    source = "psutil.disk_partitions()"
    holders: list[_Partition] = []
    try:
        for row in psutil.disk_partitions(all=True):
            if folder.is_relative_to(row.mountpoint):
                holders.append(_Partition(row.mountpoint, row.fstype, row.device))
    except Exception as error:
        source = f"{source}: {why(error)}"
    best = max(holders, key=lambda holder: len(Path(holder.point).parts), default=None)
    if best is None:
        return [Fact(SECTION, name, None, None, f"{why_not}; {source}") for name in names]
    values = (best.point, best.filesystem, best.device)
    return [
        Fact(SECTION, name, value or None, None, source) for name, value in zip(names, values, strict=True)
    ]
