"""What the machine is: hardware, operating system, limits and software, each fact with its source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llmflame.probes.machine.caches import cache_facts, has_sysfs_caches
from llmflame.probes.machine.clock import clock_facts
from llmflame.probes.machine.cpu import cpu_facts
from llmflame.probes.machine.cpuinfo import read_cpuinfo
from llmflame.probes.machine.disk import disk_facts
from llmflame.probes.machine.facts import storable
from llmflame.probes.machine.gpu import gpu_facts
from llmflame.probes.machine.limits import limit_facts
from llmflame.probes.machine.lscpu import run_lscpu
from llmflame.probes.machine.memory import memory_facts
from llmflame.probes.machine.mitigations import mitigation_facts
from llmflame.probes.machine.outside import why
from llmflame.probes.machine.software import software_facts
from llmflame.probes.machine.software_torch import torch_facts
from llmflame.probes.machine.system import system_facts
from llmflame.probes.machine.threads import thread_facts
from llmflame.probes.machine.topology import topology_facts
from llmflame.probes.machine.vectors import vector_facts
from llmflame.store.model import Fact

Source = tuple[str, Callable[[], list[Fact]]]


def read_machine(cache_folder: Path, *, with_torch: bool = True) -> list[Fact]:
    """Every fact about this machine; `cache_folder` is the folder whose disk is described.

    Never raises: what can't be read is a fact with value None and a source that says why. Takes some
    tens of milliseconds; with `with_torch` also the time to import torch where it is not imported yet.
    """
    facts: list[Fact] = []
    for section, read in _sources(cache_folder, with_torch):
        # Each source already answers for its own failures; this holds for those nobody thought of.
        try:
            facts += read()
        except Exception as error:
            facts.append(Fact(section, section, None, None, f"could not be read: {why(error)}"))
    return [storable(fact) for fact in facts]


def _sources(cache_folder: Path, with_torch: bool) -> list[Source]:
    root = Path("/")
    lscpu, cpuinfo = run_lscpu(with_caches=not has_sysfs_caches(root)), read_cpuinfo(root)
    sources: list[Source] = [
        ("cpu", lambda: cpu_facts(root, lscpu, cpuinfo)),
        ("cpu", lambda: topology_facts(root, lscpu, cpuinfo)),
        ("cpu", lambda: clock_facts(root, lscpu, cpuinfo)),
        ("cpu", lambda: vector_facts(root, lscpu, cpuinfo)),
        ("caches", lambda: cache_facts(root, lscpu)),
        ("memory", lambda: memory_facts(root, lscpu)),
        ("limits", lambda: limit_facts(root)),
        ("disk", lambda: disk_facts(root, cache_folder)),
        ("gpu", gpu_facts),
        ("system", lambda: system_facts(root)),
        ("mitigations", lambda: mitigation_facts(root, lscpu)),
        ("software", software_facts),
        ("threads", thread_facts),
    ]
    if with_torch:
        sources.append(("torch", torch_facts))
    return sources
