"""/proc/cpuinfo: one block of `key : value` lines a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmflame.probes.machine.outside import Reading, read_file


@dataclass(frozen=True, slots=True)
class Cpuinfo:
    """The blocks of /proc/cpuinfo; a block that names no processor (a trailer on ARM) is kept too."""

    blocks: list[dict[str, str]]
    source: str

    def first(self, *keys: str) -> Reading:
        """The first value in any block of the first of some keys that has one."""
        for key in keys:
            for block in self.blocks:
                if block.get(key):
                    return Reading(block[key], f"{self.source}: {key}")
        return Reading(None, f"{self.source}: no {keys[0]}" if self.blocks else self.source)

    def values(self, key: str) -> list[str]:
        """The values of a key over all CPUs."""
        return [block[key] for block in self.blocks if block.get(key)]


def read_cpuinfo(root: Path = Path("/")) -> Cpuinfo:
    """Read and split /proc/cpuinfo under `root`."""
    reading = read_file(root, "proc/cpuinfo")
    blocks: list[dict[str, str]] = []
    for paragraph in (reading.text or "").split("\n\n"):
        block = {}
        for line in paragraph.splitlines():
            key, colon, value = line.partition(":")
            if colon:
                block[key.strip()] = value.strip()
        if block:
            blocks.append(block)
    understood = bool(blocks) or reading.text is None
    return Cpuinfo(blocks, reading.source if understood else f"{reading.source}: not understood")
