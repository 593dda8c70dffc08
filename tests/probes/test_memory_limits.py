"""Which limit of memory is hit first, and who counts the kills."""

from __future__ import annotations

import os
from pathlib import Path

from llmflame.probes.memory_limits import Limits, oom_kills

GIB = 1 << 30
V2 = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = "31 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
UNLIMITED = "Max address space         unlimited            unlimited            bytes\n"
RLIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units\n"
    "Max data size             3221225472           unlimited            bytes\n"
    "Max address space         4294967296           4294967296           bytes\n"
)


def machine(root: Path, groups: str, mounts: str, rlimits: str = UNLIMITED, **files: str) -> Path:
    everything = {
        "proc/41/cgroup": groups,
        "proc/41/limits": rlimits,
        "proc/self/mountinfo": mounts,
        "proc/meminfo": "MemTotal:       8388608 kB\nMemFree: 1 kB\n",
    }
    everything |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in everything.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def named(limits: Limits) -> list[tuple[str, int]]:
    return [(limit.name, limit.bytes) for limit in limits.all]


def test_the_tightest_group_up_the_hierarchy(tmp_path: Path) -> None:
    files = {
        "a/memory.max": f"{2 * GIB}\n",
        "a/memory.stat": "anon 900\nfile 5000\nshmem 100\n",
        "a/b/memory.max": "max\n",
        "a/b/memory.events": "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 0\n",
    }
    root = machine(tmp_path, "0::/a/b\n", V2, **files)
    limits = Limits.of(41, root)
    assert named(limits) == [("cgroup memory.max", 2 * GIB), ("physical memory", 8 * GIB)]
    assert limits.smallest == limits.cgroup
    assert limits.cgroup is not None and limits.cgroup.held_bytes() == 1000
    assert oom_kills(41, root) == 3


def test_version_1(tmp_path: Path) -> None:
    files = {
        "memory/job/memory.limit_in_bytes": f"{GIB}\n",
        "memory/job/memory.stat": "cache 5\nrss 6\ntotal_cache 50\ntotal_rss 60\ntotal_shmem 7\n",
        "memory/job/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    root = machine(tmp_path, "4:memory:/job\n0::/\n", V1, **files)
    limits = Limits.of(41, root)
    assert named(limits) == [("cgroup memory.limit_in_bytes", GIB), ("physical memory", 8 * GIB)]
    assert limits.cgroup is not None and limits.cgroup.held_bytes() == 67
    assert oom_kills(41, root) == 2


def test_limits_of_the_process_itself(tmp_path: Path) -> None:
    limits = Limits.of(41, machine(tmp_path, "0::/\n", V2, RLIMITS))
    assert named(limits) == [
        ("RLIMIT_DATA", 3 * GIB),
        ("RLIMIT_AS", 4 * GIB),
        ("physical memory", 8 * GIB),
    ]
    assert limits.cgroup is None
    assert limits.smallest is not None and limits.smallest.held_bytes() is None


def test_nothing_known_is_no_limit(tmp_path: Path) -> None:
    assert Limits.of(41, tmp_path).all == ()
    assert Limits.of(41, tmp_path).smallest is None
    assert oom_kills(41, tmp_path) is None


def test_a_real_process_has_at_least_the_machines(tmp_path: Path) -> None:
    limits = Limits.of(os.getpid())
    if Path("/proc/meminfo").exists():
        assert "physical memory" in [limit.name for limit in limits.all]
        assert [limit.bytes for limit in limits.all] == sorted(limit.bytes for limit in limits.all)
