"""Control groups of both versions, as containers, batch systems and bare machines show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.probes.machine.limits import limit_facts

V2_MOUNT = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1_MOUNTS = (
    "31 20 0:27 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 20 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)


def limits(root: Path, groups: str, mounts: str, files: dict[str, str]) -> dict[str, object]:
    everything = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
    everything |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in everything.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return {fact.name: fact.value for fact in limit_facts(root)}


def test_v2_takes_the_tightest_level(tmp_path: Path) -> None:
    files = {
        "a/cpu.max": "400000 100000\n",
        "a/b/cpu.max": "max 100000\n",
        "a/memory.max": "max\n",
        "a/b/memory.max": "1073741824\n",
    }
    found = limits(tmp_path, "0::/a/b\n", V2_MOUNT, files)
    assert found == {"CPU limit": 4.0, "memory limit": 1 << 30}
    cpu, memory = limit_facts(tmp_path)
    assert cpu.source == "/sys/fs/cgroup/a/cpu.max" and cpu.unit == "CPUs"
    assert isinstance(memory.value, int) and memory.unit == "bytes"


def test_v2_container_whose_namespace_hides_the_path(tmp_path: Path) -> None:
    files = {"cpu.max": "150000 100000", "memory.max": "max", "cgroup.type": "domain"}
    found = limits(tmp_path, "0::/\n", V2_MOUNT, files)
    assert found == {"CPU limit": 1.5, "memory limit": "no limit"}


def test_v2_root_group_has_no_limit_but_a_container_without_the_controller_is_unknown(tmp_path: Path) -> None:
    root_group = limits(tmp_path, "0::/\n", V2_MOUNT, {"cgroup.controllers": "cpu memory"})
    assert root_group == {"CPU limit": "no limit", "memory limit": "no limit"}
    (tmp_path / "sys/fs/cgroup/cgroup.type").write_text("domain\n")
    assert [fact.value for fact in limit_facts(tmp_path)] == [None, None]


def test_v1_docker_mount_with_its_own_root(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": "2147483648",
        "cpu,cpuacct/cpu.cfs_quota_us": "250000",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
    }
    groups = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
    found = limits(tmp_path, groups, V1_MOUNTS.format(root="/docker/abc"), files)
    assert found == {"CPU limit": 2.5, "memory limit": 2 << 30}


def test_v1_without_limits(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
    }
    found = limits(tmp_path, "4:memory:/\n3:cpu,cpuacct:/\n0::/\n", V1_MOUNTS.format(root="/"), files)
    assert found == {"CPU limit": "no limit", "memory limit": "no limit"}


def test_hybrid_uses_version_1_where_it_has_the_controller(tmp_path: Path) -> None:
    mounts = V2_MOUNT.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ") + V1_MOUNTS.format(root="/")
    files = {"unified/cpu.max": "1 1", "memory/memory.limit_in_bytes": "4096", "cpu,cpuacct/cpu.shares": "1"}
    found = limits(tmp_path, "4:memory:/\n3:cpu,cpuacct:/\n0::/\n", mounts, files)
    assert found == {"CPU limit": "no limit", "memory limit": 4096}


@pytest.mark.parametrize("text", ["", "many 100000", "100000 0", "100000", "-5 100000", "9" * 40 + " 1"])
def test_a_level_that_is_not_understood_makes_the_limit_unknown(tmp_path: Path, text: str) -> None:
    found = limits(tmp_path, "0::/a\n", V2_MOUNT, {"cpu.max": "100000 100000", "a/cpu.max": text})
    assert found["CPU limit"] is None


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    assert [fact.value for fact in limit_facts(tmp_path)] == [None, None]
    assert limits(tmp_path, "garbage\n::\n", "garbage - \n", {}) == {"CPU limit": None, "memory limit": None}


def test_a_path_outside_the_namespace_is_read_at_the_mount(tmp_path: Path) -> None:
    found = limits(tmp_path, "0::/../../other\n", V2_MOUNT, {"cpu.max": "50000 100000"})
    assert found["CPU limit"] == 0.5
