"""The machine's facts in a terminal, and hostile text in them."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from llmflame.store.model import Fact
from llmflame.views.machine import machine_view
from llmflame.views.safe import safe_text

FACTS = [
    Fact("cpu", "model", "AMD EPYC 9B14", None, "lscpu -J: Model name"),
    Fact("cpu", "physical cores", 96, "cores", "/sys/devices/system/cpu/cpu*/topology"),
    Fact("cpu", "clock max", 3700.4, "MHz", "lscpu -J: CPU max MHz"),
    Fact("cpu", "clock governor", None, None, "/sys/devices/system/cpu/cpu*/cpufreq: not found"),
    Fact("caches", "L3 size", 32 * 1024**2, "bytes", "/sys/cache"),
    Fact("caches", "L3 ways", None, "ways", "/sys/cache: not stated"),
    Fact("caches", "L3 line", 64, "bytes", "/sys/cache"),
    Fact("caches", "L3 shared by", 1, "CPUs", "/sys/cache"),
    Fact("memory", "RAM total", 25_276_510_208, "bytes", "/proc/meminfo: MemTotal"),
    Fact("limits", "CPU limit", 1.5, "CPUs", "/sys/fs/cgroup/cpu.max"),
    Fact("gpu 0", "name", "NVIDIA H200", None, "nvmlDeviceGetName"),
    Fact("gpu 0", "ECC", True, None, "nvmlDeviceGetEccMode()"),
    Fact("mitigations", "meltdown", "Not affected", None, "/sys/vulnerabilities/meltdown"),
    Fact("mitigations", "retbleed", "Vulnerable", None, "/sys/vulnerabilities/retbleed"),
    Fact("mitigations", "mds", "Not affected", None, "/sys/vulnerabilities/mds"),
    Fact("torch", "built for CUDA", False, None, "torch.version.cuda"),
]
GOLDEN = """\
CPU
  model            AMD EPYC 9B14                            lscpu -J: Model name
  physical cores   96                                       /sys/devices/system/cpu/cpu*/topology
  clock max        3,700 MHz                                lscpu -J: CPU max MHz
  clock governor   unknown                                  /sys/devices/system/cpu/cpu*/cpufreq:
                                                            not found

Caches
  L3               32 MiB, ways unknown, line 64 B, shared  /sys/cache
                   by 1 CPU

Memory
  RAM total        23.5 GiB                                 /proc/meminfo: MemTotal

Limits
  CPU limit        1.5 CPUs                                 /sys/fs/cgroup/cpu.max

GPU 0
  name             NVIDIA H200                              nvmlDeviceGetName
  ECC              yes                                      nvmlDeviceGetEccMode()

Mitigations
  retbleed         Vulnerable                               /sys/vulnerabilities/retbleed
  not affected by  2 others                                 /sys/vulnerabilities

torch
  built for CUDA   no                                       torch.version.cuda
"""


def shown(facts: list[Fact], width: int = 100) -> str:
    stream = StringIO()
    Console(width=width, file=stream, color_system=None, highlight=False).print(machine_view(facts))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def test_view_at_width_100() -> None:
    assert shown(FACTS) == GOLDEN


def test_every_line_fits_a_narrow_terminal() -> None:
    assert max(map(len, shown(FACTS, width=60).splitlines())) <= 60


def test_no_facts_is_said() -> None:
    assert shown([]) == "No facts about a machine.\n"


def test_hostile_text_is_shown_not_obeyed() -> None:
    hostile = "\x1b[31m[bold]\u202e\n\x9b\ud800"
    visible = "\\x1b[31m[bold]\\u202e\\x0a\\x9b\\ud800"
    for fact in (
        Fact(hostile, "n", 1, None, "s"),
        Fact("s", hostile, 1, None, "s"),
        Fact("s", "n", hostile, None, "s"),
        Fact("s", "n", 1, hostile, "s"),
        Fact("s", "n", 1, None, hostile),
        Fact("caches", "L1 size", hostile, None, "s"),
    ):
        text = shown([fact], width=200)
        assert visible in text or visible.capitalize() in text
        assert not {"\x1b", "\u202e", "\x9b", "\ud800"} & set(text)
        text.encode("utf-8")


def test_safe_text_escapes_and_keeps_what_is_harmless() -> None:
    assert safe_text("Größe 数 🦙 [b]") == "Größe 数 🦙 [b]"
    assert safe_text("\0\t\x7f\x85") == "\\x00\\x09\\x7f\\x85"
    assert safe_text("\u2066\u200f\u2028\udfff") == "\\u2066\\u200f\\u2028\\udfff"


def test_safe_text_truncates_without_cutting_an_escape() -> None:
    assert safe_text("abcd", 4) == "abcd"
    assert safe_text("abcde", 4) == "abc…"
    assert safe_text("a\x1bb", 5) == "a…"
    assert safe_text("ab", 1) == "…"
    assert safe_text("") == ""
    assert len(safe_text("\x00" * 10**6)) <= 200
    with pytest.raises(ValueError, match="at least 1"):
        safe_text("a", 0)
