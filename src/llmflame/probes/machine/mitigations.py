"""Hardware vulnerabilities and what the kernel does about each: some mitigations cost time."""

from __future__ import annotations

from pathlib import Path

from llmflame.probes.machine.facts import fact_of
from llmflame.probes.machine.lscpu import Lscpu
from llmflame.probes.machine.outside import names_in, read_file
from llmflame.store.model import Fact

SECTION = "mitigations"
FOLDER = "sys/devices/system/cpu/vulnerabilities"
LSCPU_PREFIX = "Vulnerability "


def mitigation_facts(root: Path, lscpu: Lscpu) -> list[Fact]:
    """One fact a vulnerability, in the kernel's own words."""
    names = names_in(root, FOLDER, r"\w+")
    if names:
        return [fact_of(SECTION, name, read_file(root, f"{FOLDER}/{name}")) for name in names]
    fields = sorted(name for name in lscpu.fields if name.startswith(LSCPU_PREFIX))
    if fields:
        return [
            fact_of(SECTION, name.removeprefix(LSCPU_PREFIX).lower().replace(" ", "_"), lscpu.field(name))
            for name in fields
        ]
    return [Fact(SECTION, "mitigations", None, None, f"/{FOLDER}: not found; {lscpu.fields_source}")]
