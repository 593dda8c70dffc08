"""The disk behind a folder: partitions, mapped devices, overlays and folders that do not exist yet."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from llmflame.probes.machine.disk import disk_facts
from llmflame.probes.machine.mounts import mount_of, parse_mounts

MOUNTINFO = """27 1 259:2 / / rw,relatime - ext4 /dev/nvme0n1p2 rw
28 27 0:40 / /pool rw - btrfs /dev/mapper/vg-pool rw
29 27 0:41 / /layers rw - overlay overlay rw,lowerdir=/x
30 27 8:1 / /with\\040space rw - xfs /dev/sda1 rw
31 27 0:42 / /pool rw - btrfs /dev/mapper/vg-pool rw
broken line
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    base = tmp_path / "root"
    nvme = base / "sys/devices/pci/nvme/nvme0n1"
    for folder, files in {
        nvme: {"queue/rotational": "0\n", "device/model": "Samsung SSD 990 PRO 2TB   \n"},
        nvme / "nvme0n1p2": {"partition": "2\n"},
        base / "sys/devices/virtual/block/dm-0": {"queue/rotational": "0\n", "slaves/nvme0n1p2/x": ""},
        base / "sys/devices/ata/sda": {"queue/rotational": "1\n"},
        base / "sys/devices/ata/sda/sda1": {"partition": "1\n"},
        base / "proc/self": {"mountinfo": MOUNTINFO},
    }.items():
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    link(base / "sys/class/block/nvme0n1", nvme)
    link(base / "sys/class/block/nvme0n1p2", nvme / "nvme0n1p2")
    link(base / "sys/class/block/dm-0", base / "sys/devices/virtual/block/dm-0")
    link(base / "sys/class/block/sda", base / "sys/devices/ata/sda")
    link(base / "sys/class/block/sda1", base / "sys/devices/ata/sda/sda1")
    link(base / "sys/dev/block/259:2", nvme / "nvme0n1p2")
    link(base / "sys/dev/block/8:1", base / "sys/devices/ata/sda/sda1")
    (base / "dev").mkdir()
    (base / "dev/dm-0").touch()
    link(base / "dev/mapper/vg-pool", base / "dev/dm-0")
    return base


def link(name: Path, target: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    name.symlink_to(target)


def values(root: Path, folder: str) -> dict[str, object]:
    return {fact.name: fact.value for fact in disk_facts(root, Path(folder))}


def test_partition_of_an_nvme_disk(root: Path) -> None:
    found = values(root, "/no-such-folder/hub")
    assert (found["filesystem"], found["device"]) == ("ext4", "/dev/nvme0n1p2")
    assert (found["disk"], found["disk rotational"]) == ("nvme0n1", False)
    assert found["disk model"] == "Samsung SSD 990 PRO 2TB"
    free, size = found["free"], found["size"]
    assert isinstance(free, int) and isinstance(size, int) and 0 <= free <= size


def test_mapped_device_with_a_number_of_its_own_leads_to_the_disk(root: Path) -> None:
    assert values(root, "/pool/models")["disk"] == "nvme0n1"


def test_overlay_has_no_block_device(root: Path) -> None:
    found = {fact.name: fact for fact in disk_facts(root, Path("/layers/x"))}
    assert found["filesystem"].value == "overlay"
    assert found["disk"].value is None and "no block device behind overlay" in found["disk"].source


def test_mount_point_with_a_space_and_a_rotating_disk(root: Path) -> None:
    found = values(root, "/with space/hub")
    assert (found["mount point"], found["disk rotational"]) == ("/with space", True)
    assert found["disk model"] is None


def test_without_mountinfo_it_is_unknown(tmp_path: Path) -> None:
    found = values(tmp_path, "/x")
    assert found["filesystem"] is None and found["device"] is None and found["size"]


def test_the_deepest_and_latest_mount_holds_a_folder() -> None:
    mounts = parse_mounts(MOUNTINFO)
    found = mount_of(PurePosixPath("/pool/a"), mounts)
    assert len(mounts) == 5 and found is not None and found.device_number == "0:42"
    other = mount_of(PurePosixPath("/poolside"), mounts)
    assert other is not None and other.device_number == "259:2"
    assert mount_of(PurePosixPath("relative"), mounts) is None
