"""The block device behind a mount, as sysfs describes it."""

from __future__ import annotations

from pathlib import Path

from llmflame.probes.machine.facts import fact_of
from llmflame.probes.machine.mounts import Mount
from llmflame.probes.machine.outside import names_in, read_file
from llmflame.store.model import Fact

SECTION = "disk"
BLOCK_FOLDER = "sys/class/block"


def block_facts(root: Path, mount: Mount) -> list[Fact]:
    """Name, kind and model of the whole disk behind a mount; unknown where no block device is."""
    names = ("disk", "disk rotational", "disk model")
    partition = _block_name(root, mount)
    if partition is None:
        source = f"/{BLOCK_FOLDER}: no block device behind {mount.device}"
        return [Fact(SECTION, name, None, None, source) for name in names]
    disk = _whole_disk(root, partition)
    queue = read_file(root, f"{BLOCK_FOLDER}/{disk}/queue/rotational")
    model = read_file(root, f"{BLOCK_FOLDER}/{disk}/device/model")
    return [
        Fact(SECTION, names[0], disk, None, f"/{BLOCK_FOLDER}"),
        fact_of(SECTION, names[1], queue, None, lambda text: {"0": False, "1": True}.get(text)),
        fact_of(SECTION, names[2], model),
    ]


def _block_name(root: Path, mount: Mount) -> str | None:
    """The kernel's name of the device: by number, or by path where the file system numbers itself."""
    for candidate in (f"sys/dev/block/{mount.device_number}", mount.device.lstrip("/")):
        name = _link_target(root, candidate)
        if name and _is_folder(root, f"{BLOCK_FOLDER}/{name}"):
            return name
    return None


def _whole_disk(root: Path, name: str) -> str:
    """The disk below a partition, and below a mapped device if it lies on one disk alone."""
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        slaves = names_in(root, f"{BLOCK_FOLDER}/{name}/slaves", r".+")
        if len(slaves) == 1:
            name = slaves[0]
        elif read_file(root, f"{BLOCK_FOLDER}/{name}/partition").text is not None:
            parent = _parent(root, f"{BLOCK_FOLDER}/{name}")
            name = parent if parent and _is_folder(root, f"{BLOCK_FOLDER}/{parent}") else name
    return name


def _link_target(root: Path, name: str) -> str | None:
    try:
        return (root / name).resolve().name or None
    except (OSError, RuntimeError, ValueError):
        return None


def _parent(root: Path, name: str) -> str | None:
    try:
        return (root / name).resolve().parent.name or None
    except (OSError, RuntimeError, ValueError):
        return None


def _is_folder(root: Path, name: str) -> bool:
    try:
        return (root / name).is_dir()
    except (OSError, ValueError):
        return False
