"""What this machine can reach: rates and latencies measured on it, each fact with how it was measured."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from llmflame.probes.ceilings.names import SECTION
from llmflame.probes.ceilings.sizes import Sizes
from llmflame.probes.machine.facts import storable
from llmflame.store.model import Fact

Progress = Callable[[str], None]


def measure_ceilings(folder: Path, progress: Progress, sizes: Sizes | None = None) -> list[Fact]:
    """Measure what memory, disk, processor and CUDA devices reach; `folder` says which disk.

    Names and units are those of `ceilings.names.UNITS`. A measure that fails is a fact with value None and a
    source that says why. Takes some 10 to 15 s
    and leaves no file behind. Imports torch.
    """
    from llmflame.probes.ceilings import device, disk, host

    sizes = sizes or Sizes()
    # What takes no device comes first: a CUDA context makes threads and takes host memory.
    facts = [
        *host.memory_facts(sizes, progress),
        disk.disk_fact(folder, sizes, progress),
        *host.matmul_facts(sizes, progress),
    ]
    models, source = device.distinct_devices()
    if models:
        facts += device.device_facts(models[0][0], sizes, progress)
    facts = [*_about(SECTION, models[0][1] if models else "cpu", source), *facts]
    # Devices of other models than the first one's: a section of their own for each.
    for index, name in models[1:]:
        section = f"{SECTION} {index}"
        facts += _about(section, name, source)
        facts += [replace(fact, section=section) for fact in device.device_facts(index, sizes, progress)]
    return [storable(fact) for fact in facts]


def _about(section: str, device_name: str, source: str) -> list[Fact]:
    import torch

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    count = int(torch.get_num_threads())
    return [
        Fact(section, "measured at", now, None, "the clock of this machine, UTC"),
        Fact(section, "measured device", device_name, None, source),
        Fact(section, "measured threads", count, "threads", "torch.get_num_threads()"),
    ]
