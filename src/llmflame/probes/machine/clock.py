"""How fast the CPU's clock runs, may run, and who governs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from llmflame.probes.machine.cpuinfo import Cpuinfo
from llmflame.probes.machine.facts import asked, fact_of, first_known
from llmflame.probes.machine.lscpu import Lscpu
from llmflame.probes.machine.outside import Reading, is_this_machine, names_in, read_file
from llmflame.store.model import Fact

SECTION = "cpu"
CPU_FOLDER = "sys/devices/system/cpu"
KHZ_PER_MHZ = 1000


def clock_facts(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> list[Fact]:
    """Current (mean over CPUs), lowest and highest clock in MHz, governor, driver, boost."""
    return [
        first_known(_current(root, cpuinfo)),
        first_known(_bound(root, lscpu, "min", min)),
        first_known(_bound(root, lscpu, "max", max)),
        _words(root, "clock governor", "scaling_governor"),
        _words(root, "clock driver", "scaling_driver"),
        _boost(root),
    ]


def _per_cpu(root: Path, file: str) -> tuple[list[str], str]:
    source = f"/{CPU_FOLDER}/cpu*/cpufreq/{file}"
    cpus = names_in(root, CPU_FOLDER, r"cpu\d+")
    texts = [read_file(root, f"{CPU_FOLDER}/{cpu}/cpufreq/{file}").text for cpu in cpus]
    found = [text for text in texts if text is not None]
    return found, source if found else f"{source}: not found"


def _mhz(root: Path, file: str, name: str, fold: Callable[[list[int]], float]) -> Fact:
    texts, source = _per_cpu(root, file)
    clocks_khz = [int(text) for text in texts if text.isascii() and text.isdecimal() and int(text) > 0]
    if not clocks_khz:
        return Fact(SECTION, name, None, "MHz", source if not texts else f"{source}: not understood")
    return Fact(SECTION, name, fold(clocks_khz) / KHZ_PER_MHZ, "MHz", source)


def _mean(numbers: list[int]) -> float:
    return sum(numbers) / len(numbers)


def _current(root: Path, cpuinfo: Cpuinfo) -> Iterator[Fact]:
    name = "clock now, mean"
    yield _mhz(root, "scaling_cur_freq", name, _mean)
    clocks = cpuinfo.values("cpu MHz")
    source = f"{cpuinfo.source}: cpu MHz" if clocks else cpuinfo.first("cpu MHz").source
    mean = asked(SECTION, name, lambda: sum(map(float, clocks)) / len(clocks), source, "MHz")
    yield mean if clocks else Fact(SECTION, name, None, "MHz", source)
    if is_this_machine(root):
        yield _from_psutil(name, "current")


def _bound(root: Path, lscpu: Lscpu, end: str, fold: Callable[[list[int]], float]) -> Iterator[Fact]:
    name = f"clock {end}"
    yield _mhz(root, f"cpuinfo_{end}_freq", name, fold)
    yield fact_of(SECTION, name, lscpu.field(f"CPU {end} MHz"), "MHz", float)
    if is_this_machine(root):
        yield _from_psutil(name, end)


def _from_psutil(name: str, attribute: str) -> Fact:
    def ask() -> float | None:
        clock = psutil.cpu_freq()
        # psutil writes 0 for what it does not know.
        return float(getattr(clock, attribute)) or None if clock is not None else None

    return asked(SECTION, name, ask, "psutil.cpu_freq()", "MHz")


def _words(root: Path, name: str, file: str) -> Fact:
    texts, source = _per_cpu(root, file)
    return Fact(SECTION, name, " + ".join(dict.fromkeys(texts)) or None, None, source)


def _boost(root: Path) -> Fact:
    def from_no_turbo(text: str) -> bool | None:
        return {"0": True, "1": False}.get(text)

    def from_boost(text: str) -> bool | None:
        return {"1": True, "0": False}.get(text)

    def candidate(file: str, parse: Callable[[str], bool | None]) -> Fact:
        reading: Reading = read_file(root, f"{CPU_FOLDER}/{file}")
        return fact_of(SECTION, "clock boost", reading, None, parse)

    return first_known(
        [candidate("intel_pstate/no_turbo", from_no_turbo), candidate("cpufreq/boost", from_boost)]
    )
