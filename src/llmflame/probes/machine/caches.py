"""The CPU's caches: size, ways, line and how many CPUs share one, for each level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmflame.probes.machine.amounts import parse_cpu_list, parse_size_bytes
from llmflame.probes.machine.lscpu import Lscpu
from llmflame.probes.machine.outside import names_in, read_file
from llmflame.store.model import Fact

SECTION = "caches"
CPU_FOLDER = "sys/devices/system/cpu"
SYSFS_SOURCE = f"/{CPU_FOLDER}/cpu*/cache"
_SUFFIXES = {"Data": "d", "Instruction": "i", "Unified": ""}


@dataclass(frozen=True, slots=True)
class Cache:
    """One kind of cache. None where the source does not say."""

    name: str
    size_bytes: int | None
    ways: int | None
    line_bytes: int | None
    shared_by: int | None


def cache_facts(root: Path, lscpu: Lscpu) -> list[Fact]:
    """Facts of every distinct cache; hybrid CPUs have several of a level, told apart by `(kind 2)`."""
    instances, source = _from_sysfs(root), SYSFS_SOURCE
    if not instances:
        instances, source = _from_lscpu(lscpu), lscpu.caches_source
    if not instances:
        return [Fact(SECTION, "caches", None, None, f"{SYSFS_SOURCE}: not found; {lscpu.caches_source}")]
    facts: list[Fact] = []
    seen: dict[str, int] = {}
    for cache, count in instances.items():
        seen[cache.name] = seen.get(cache.name, 0) + 1
        label = cache.name if seen[cache.name] == 1 else f"{cache.name} (kind {seen[cache.name]})"
        facts += _facts_of(label, cache, count, source)
    return facts


def has_sysfs_caches(root: Path) -> bool:
    """Whether sysfs describes caches, so that `lscpu` need not be asked for them."""
    return bool(names_in(root, f"{CPU_FOLDER}/cpu0/cache", r"index\d+"))


def _facts_of(label: str, cache: Cache, count: int | None, source: str) -> list[Fact]:
    rows = (
        ("size", cache.size_bytes, "bytes"),
        ("ways", cache.ways, "ways"),
        ("line", cache.line_bytes, "bytes"),
        ("shared by", cache.shared_by, "CPUs"),
        ("instances", count, "instances"),
    )
    return [
        Fact(
            SECTION, f"{label} {name}", value, unit, source if value is not None else f"{source}: not stated"
        )
        for name, value, unit in rows
    ]


def _from_sysfs(root: Path) -> dict[Cache, int | None]:
    counts: dict[Cache, int] = {}
    seen: set[tuple[str, str]] = set()
    for cpu in names_in(root, CPU_FOLDER, r"cpu\d+"):
        for index in names_in(root, f"{CPU_FOLDER}/{cpu}/cache", r"index\d+"):
            folder = f"{CPU_FOLDER}/{cpu}/cache/{index}"
            shared = read_file(root, f"{folder}/shared_cpu_list").text
            # CPUs that share a cache describe the same one: read it once.
            key = (index, shared or cpu)
            if key in seen:
                continue
            seen.add(key)
            cache = _read_cache(root, folder, shared)
            if cache is not None:
                counts[cache] = counts.get(cache, 0) + 1
    return {cache: counts[cache] for cache in sorted(counts, key=lambda cache: cache.name)}


def _read_cache(root: Path, folder: str, shared: str | None) -> Cache | None:
    def text(name: str) -> str:
        return read_file(root, f"{folder}/{name}").text or ""

    level, suffix = text("level"), _SUFFIXES.get(text("type"))
    if suffix is None or _count(level) is None:
        return None
    try:
        shared_by = len(parse_cpu_list(shared)) if shared else None
    except ValueError:
        shared_by = None
    return Cache(
        f"L{level}{suffix}",
        _size(text("size")),
        _count(text("ways_of_associativity")),
        _count(text("coherency_line_size")),
        shared_by,
    )


def _from_lscpu(lscpu: Lscpu) -> dict[Cache, int | None]:
    caches: dict[Cache, int | None] = {}
    for row in lscpu.caches:
        one, total = _size(row.get("one-size", "")), _size(row.get("all-size", ""))
        line = _count(row.get("coherency-size", ""))
        cache = Cache(row["name"], one, _count(row.get("ways", "")), line, None)
        caches[cache] = total // one if one and total and total % one == 0 else None
    return caches


def _count(text: str) -> int | None:
    # Firmware that does not describe a cache leaves zeros.
    return int(text) or None if text.isascii() and text.isdecimal() else None


def _size(text: str) -> int | None:
    try:
        return parse_size_bytes(text) or None
    except ValueError:
        return None
