"""The parts that a GPU in MIG mode is divided into."""

from __future__ import annotations

from typing import Any

from llmflame.probes.machine.facts import asked
from llmflame.store.model import Fact

MAX_PARTS = 64


def mig_facts(nvml: Any, handle: Any, section: str) -> list[Fact]:
    """Name, memory and multiprocessors of each MIG part; none where MIG is off or not offered."""
    mode = asked(section, "MIG", lambda: int(nvml.nvmlDeviceGetMigMode(handle)[0]), "nvmlDeviceGetMigMode")
    if mode.value != 1:
        return []
    source = "nvmlDeviceGetMaxMigDeviceCount"
    count = asked(section, "MIG parts", lambda: int(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)), source)
    if not isinstance(count.value, int):
        return [count]
    facts: list[Fact] = []
    for index in range(min(count.value, MAX_PARTS)):
        # NVML counts slots; an empty one answers with an error.
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except Exception:
            continue
        facts += _part_facts(nvml, part, section, f"MIG {index}")
    return facts


def _part_facts(nvml: Any, part: Any, section: str, label: str) -> list[Fact]:
    def memory_bytes() -> int:
        return int(nvml.nvmlDeviceGetMemoryInfo(part).total)

    def multiprocessors() -> int:
        return int(nvml.nvmlDeviceGetAttributes(part).multiprocessorCount)

    def name() -> str:
        answer = nvml.nvmlDeviceGetName(part)
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)

    return [
        asked(section, f"{label} name", name, "nvmlDeviceGetName"),
        asked(section, f"{label} memory total", memory_bytes, "nvmlDeviceGetMemoryInfo", "bytes"),
        asked(section, f"{label} SM count", multiprocessors, "nvmlDeviceGetAttributes", "SMs"),
    ]
