"""RAM and swap, huge pages, and the NUMA nodes that memory is spread over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from llmflame.probes.machine.amounts import parse_size_bytes, positive_int
from llmflame.probes.machine.facts import asked, fact_of, first_known
from llmflame.probes.machine.lscpu import Lscpu
from llmflame.probes.machine.outside import Reading, is_this_machine, names_in, read_file
from llmflame.store.model import Fact

SECTION = "memory"
NODE_FOLDER = "sys/devices/system/node"


def memory_facts(root: Path, lscpu: Lscpu) -> list[Fact]:
    """RAM and swap in bytes, transparent huge pages, NUMA nodes with their CPUs and memory."""
    meminfo = read_file(root, "proc/meminfo")
    return [
        first_known(_amount(root, meminfo, "RAM total", "MemTotal", lambda: psutil.virtual_memory().total)),
        first_known(
            _amount(root, meminfo, "RAM available", "MemAvailable", lambda: psutil.virtual_memory().available)
        ),
        first_known(_amount(root, meminfo, "swap total", "SwapTotal", lambda: psutil.swap_memory().total)),
        first_known(_amount(root, meminfo, "swap free", "SwapFree", lambda: psutil.swap_memory().free)),
        _huge_pages(root),
        *_numa(root, lscpu),
    ]


def _amount(root: Path, meminfo: Reading, name: str, key: str, ask: Callable[[], int]) -> Iterator[Fact]:
    yield fact_of(SECTION, name, _field(meminfo, key), "bytes", parse_size_bytes)
    if is_this_machine(root):
        yield asked(SECTION, name, ask, "psutil", "bytes")


def _field(meminfo: Reading, key: str) -> Reading:
    def pick(text: str) -> str | None:
        match = re.search(rf"^(?:Node \d+ )?{key}:\s*(.+)$", text, re.MULTILINE)
        return match[1] if match else None

    reading = meminfo.then(pick)
    return Reading(reading.text, f"{reading.source}: {key}") if reading.text is not None else reading


def _huge_pages(root: Path) -> Fact:
    def chosen(text: str) -> str | None:
        match = re.search(r"\[(\w+)\]", text)
        return match[1] if match else None

    reading = read_file(root, "sys/kernel/mm/transparent_hugepage/enabled")
    return fact_of(SECTION, "transparent huge pages", reading, None, chosen)


def _numa(root: Path, lscpu: Lscpu) -> list[Fact]:
    nodes = names_in(root, NODE_FOLDER, r"node\d+")
    if not nodes:
        reading = lscpu.field("NUMA node(s)")
        known = fact_of(SECTION, "NUMA nodes", reading, "nodes", positive_int)
        missing = Fact(SECTION, "NUMA nodes", None, "nodes", f"/{NODE_FOLDER}: not found")
        return [first_known([known, missing])]
    facts: list[Fact] = [Fact(SECTION, "NUMA nodes", len(nodes), "nodes", f"/{NODE_FOLDER}")]
    for node in nodes:
        label = f"NUMA node {node.removeprefix('node')}"
        total = _field(read_file(root, f"{NODE_FOLDER}/{node}/meminfo"), "MemTotal")
        facts.append(fact_of(SECTION, f"{label} CPUs", read_file(root, f"{NODE_FOLDER}/{node}/cpulist")))
        facts.append(fact_of(SECTION, f"{label} RAM", total, "bytes", parse_size_bytes))
    return facts
