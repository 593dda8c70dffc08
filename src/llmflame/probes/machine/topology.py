"""How many: sockets, cores, logical CPUs, siblings of a core, and CPUs that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil

from llmflame.probes.machine.amounts import parse_cpu_list
from llmflame.probes.machine.cpuinfo import Cpuinfo
from llmflame.probes.machine.facts import asked, first_known
from llmflame.probes.machine.lscpu import Lscpu
from llmflame.probes.machine.outside import is_this_machine, names_in, read_first
from llmflame.store.model import Fact

SECTION = "cpu"
CPU_FOLDER = "sys/devices/system/cpu"
Counts = dict[str, int]
NAMES = {
    "sockets": "sockets",
    "cores": "physical cores",
    "logical": "logical CPUs",
    "siblings": "SMT siblings per core",
}
_UNITS = {"sockets": "sockets", "cores": "cores", "logical": "CPUs", "siblings": "threads"}


def topology_facts(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> list[Fact]:
    """Counts from sysfs, else lscpu, else /proc/cpuinfo, else psutil. A guest sees its own CPUs."""
    answers = list(_answers(root, lscpu, cpuinfo))
    facts = [
        first_known(
            Fact(SECTION, NAMES[key], counts.get(key), _UNITS[key], _said(source, key in counts))
            for counts, source in answers
        )
        for key in NAMES
    ]
    if is_this_machine(root):
        facts.append(_usable())
    return facts


def _said(source: str, known: bool) -> str:
    return source if known else f"{source}: not stated"


def _answers(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> Iterator[tuple[Counts, str]]:
    yield _from_sysfs(root), f"/{CPU_FOLDER}/cpu*/topology"
    yield _from_lscpu(lscpu), lscpu.fields_source
    yield _from_cpuinfo(cpuinfo), cpuinfo.source
    if is_this_machine(root):
        yield _from_psutil(), "psutil.cpu_count()"


def _from_sysfs(root: Path) -> Counts:
    cores: set[str] = set()
    packages: set[str] = set()
    logical = 0
    for cpu in names_in(root, CPU_FOLDER, r"cpu\d+"):
        folder = f"{CPU_FOLDER}/{cpu}/topology"
        # The second name of each pair is the one of kernels before 5.6.
        core = read_first(root, f"{folder}/core_cpus_list", f"{folder}/thread_siblings_list").text
        package = read_first(root, f"{folder}/package_cpus_list", f"{folder}/core_siblings_list").text
        if core is None:
            continue
        logical += 1
        cores.add(core)
        if package is not None:
            packages.add(package)
    if not logical:
        return {}
    counts = {"cores": len(cores), "logical": logical}
    if packages:
        counts["sockets"] = len(packages)
    try:
        counts["siblings"] = max(len(parse_cpu_list(core)) for core in cores)
    except ValueError:
        return {}
    return counts


def _from_lscpu(lscpu: Lscpu) -> Counts:
    fields = {
        "logical": "CPU(s)",
        "sockets": "Socket(s)",
        "per_socket": "Core(s) per socket",
        "siblings": "Thread(s) per core",
    }
    counts: Counts = {}
    for key, name in fields.items():
        text = lscpu.field(name).text
        if text is not None and text.isascii() and text.isdecimal() and int(text) > 0:
            counts[key] = int(text)
    per_socket = counts.pop("per_socket", None)
    if per_socket is not None and "sockets" in counts:
        counts["cores"] = per_socket * counts["sockets"]
    return counts


def _from_cpuinfo(cpuinfo: Cpuinfo) -> Counts:
    logical = len(cpuinfo.values("processor"))
    if not logical:
        return {}
    counts = {"logical": logical}
    sockets = {block["physical id"] for block in cpuinfo.blocks if "physical id" in block}
    pairs = [
        (block["physical id"], block["core id"])
        for block in cpuinfo.blocks
        if "physical id" in block and "core id" in block
    ]
    if sockets:
        counts["sockets"] = len(sockets)
    if len(pairs) == logical:
        counts["cores"] = len(set(pairs))
        counts["siblings"] = max(pairs.count(pair) for pair in set(pairs))
    return counts


def _from_psutil() -> Counts:
    counts: Counts = {}
    for key, logical in (("logical", True), ("cores", False)):
        answer = asked(SECTION, key, partial(psutil.cpu_count, logical=logical), "psutil")
        if isinstance(answer.value, int):
            counts[key] = answer.value
    return counts


def _usable() -> Fact:
    name = "CPUs this process may use"
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is None:
        return Fact(SECTION, name, None, "CPUs", "os.sched_getaffinity(): not on this system")
    return asked(SECTION, name, lambda: len(affinity(0)), "os.sched_getaffinity()", "CPUs")
