"""Vector and matrix instructions that the CPU offers, by the kernel's names for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from llmflame.probes.machine.cpuinfo import Cpuinfo
from llmflame.probes.machine.facts import fact_of, first_known
from llmflame.probes.machine.lscpu import Lscpu
from llmflame.probes.machine.outside import is_this_machine, run_command
from llmflame.store.model import Fact

SECTION = "cpu"
NAME = "vector instructions"
# Apart by family: "sme" is a matrix extension on Arm, but memory encryption on x86. "pni" is SSE3.
X86 = re.compile(r"sse\w*|ssse3|pni|avx\w*|fma4?|f16c|amx_\w+|gfni|vaes|vpclmulqdq")
ARM = re.compile(r"neon|asimd\w*|fphp|sve\w*|sme\w*|e?bf16|i8mm")
Z = re.compile(r"vx\w*")
_BY_KEY = {"flags": X86, "Features": ARM, "features": Z}
_BY_ARCHITECTURE = {"x86": X86, "i68": X86, "i58": X86, "aarch64": ARM, "arm": ARM, "s390": Z}
_SYSCTL = re.compile(r"neon|advsimd|avx|sse|fma|amx|feat_(?:bf16|fp16|i8mm|sme|dotprod)", re.IGNORECASE)


def vector_facts(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> list[Fact]:
    """One fact: the vector flags, sorted and separated by spaces; `none listed` where flags name none."""
    return [first_known(_candidates(root, lscpu, cpuinfo))]


def vector_flags(flags: str, family: re.Pattern[str]) -> str:
    """Those of the kernel's CPU flags that name vector or matrix instructions of a family of CPUs."""
    return " ".join(sorted({flag for flag in flags.split() if family.fullmatch(flag)})) or "none listed"


def sysctl_flags(text: str) -> str | None:
    """The names of `sysctl hw.optional` (macOS) that are 1 and concern vectors."""
    found = []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        name = key.removeprefix("hw.optional.").strip()
        if value.strip() == "1" and _SYSCTL.search(name):
            found.append(name)
    return " ".join(sorted(found)) or None


def _candidates(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> Iterator[Fact]:
    for key, family in _BY_KEY.items():
        yield fact_of(SECTION, NAME, cpuinfo.first(key), None, partial(vector_flags, family=family))
    architecture = lscpu.field("Architecture").text or ""
    for start, family in _BY_ARCHITECTURE.items():
        if architecture.startswith(start):
            yield fact_of(SECTION, NAME, lscpu.field("Flags"), None, partial(vector_flags, family=family))
    if is_this_machine(root) and not cpuinfo.blocks:
        yield fact_of(SECTION, NAME, run_command(["sysctl", "hw.optional"]), None, sysctl_flags)
