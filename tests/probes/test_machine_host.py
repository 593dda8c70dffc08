"""CPU, caches, memory, kernel: read from hand-made trees, with lscpu, without it, and with garbage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmflame.probes.machine.amounts import parse_cpu_list, parse_size_bytes
from llmflame.probes.machine.caches import cache_facts
from llmflame.probes.machine.clock import clock_facts
from llmflame.probes.machine.cpu import cpu_facts
from llmflame.probes.machine.cpuinfo import read_cpuinfo
from llmflame.probes.machine.lscpu import Lscpu, parse_lscpu
from llmflame.probes.machine.memory import memory_facts
from llmflame.probes.machine.mitigations import mitigation_facts
from llmflame.probes.machine.outside import Reading, names_in, read_file, run_command
from llmflame.probes.machine.system import pretty_name, system_facts
from llmflame.probes.machine.topology import topology_facts
from llmflame.probes.machine.vectors import sysctl_flags, vector_facts
from llmflame.store.model import Fact

CPU = "sys/devices/system/cpu"
X86_BLOCK = """processor : {cpu}
model name : AMD EPYC 9B14
microcode : 0xa10113e
cpu MHz : {mhz}
physical id : 0
core id : {core}
flags : fpu sse sse2 pni ssse3 avx avx2 fma sme smep avx512f avx512_bf16 amx_bf16 hypervisor
"""
ARM_BLOCK = """processor : {cpu}
BogoMIPS : 243.75
Features : fp asimd asimdhp sve sve2 bf16 i8mm sme aes
CPU implementer : 0x41
CPU part : 0xd4f
"""
NO_LSCPU = parse_lscpu(Reading(None, "lscpu -J: not found"), Reading(None, "lscpu -J -C: not found"))


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def lscpu_of(*fields: tuple[str, str], caches: object = None) -> Lscpu:
    rows = [{"field": f"{name}:", "data": data} for name, data in fields]
    return parse_lscpu(
        Reading(json.dumps({"lscpu": rows}), "lscpu -J"),
        Reading(json.dumps({"caches": caches or []}), "lscpu -J -C"),
    )


def cpu_section(root: Path, lscpu: Lscpu) -> dict[str, Fact]:
    cpuinfo = read_cpuinfo(root)
    readers = (cpu_facts, topology_facts, clock_facts, vector_facts)
    return {fact.name: fact for read in readers for fact in read(root, lscpu, cpuinfo)}


def topology(cpu: int, core: str, package: str) -> dict[str, str]:
    folder = f"{CPU}/cpu{cpu}/topology"
    return {f"{folder}/core_cpus_list": core, f"{folder}/package_cpus_list": package}


def cache(
    cpu: int, index: int, level: int, kind: str, size: str, shared: str, ways: int = 8
) -> dict[str, str]:
    folder = f"{CPU}/cpu{cpu}/cache/index{index}"
    values = {
        "level": str(level),
        "type": kind,
        "size": size,
        "ways_of_associativity": str(ways),
        "coherency_line_size": "64",
        "shared_cpu_list": shared,
    }
    return {f"{folder}/{name}": f"{text}\n" for name, text in values.items()}


def x86_files() -> dict[str, str]:
    files = {"proc/cpuinfo": "\n".join(X86_BLOCK.format(cpu=n, core=n % 2, mhz=2000 + n) for n in range(4))}
    for n in range(4):
        siblings = f"{n % 2},{n % 2 + 2}"
        files |= topology(n, siblings, "0-3")
        files |= cache(n, 0, 1, "Data", "32K", siblings)
        files |= cache(n, 1, 3, "Unified", "32768K", "0-3", ways=16)
        files[f"{CPU}/cpu{n}/cpufreq/scaling_cur_freq"] = f"{3_000_000 + n * 100_000}\n"
        files[f"{CPU}/cpu{n}/cpufreq/cpuinfo_min_freq"] = "1500000\n"
        files[f"{CPU}/cpu{n}/cpufreq/cpuinfo_max_freq"] = "3700000\n"
        files[f"{CPU}/cpu{n}/cpufreq/scaling_governor"] = "performance\n"
    files[f"{CPU}/cpufreq/boost"] = "1\n"
    return files


def test_x86_tree_without_lscpu(tmp_path: Path) -> None:
    facts = cpu_section(tree(tmp_path, x86_files()), NO_LSCPU)
    values = {name: fact.value for name, fact in facts.items()}
    assert values == {
        "model": "AMD EPYC 9B14",
        "architecture": None,
        "microcode": "0xa10113e",
        "hypervisor": "present, vendor unknown",
        "machine model": None,
        "sockets": 1,
        "physical cores": 2,
        "logical CPUs": 4,
        "SMT siblings per core": 2,
        "clock now, mean": 3150.0,
        "clock min": 1500.0,
        "clock max": 3700.0,
        "clock governor": "performance",
        "clock driver": None,
        "clock boost": True,
        # `sme` and `smep` of x86 are no vector instructions.
        "vector instructions": "amx_bf16 avx avx2 avx512_bf16 avx512f fma pni sse sse2 ssse3",
    }
    assert facts["model"].source == "/proc/cpuinfo: model name"
    assert facts["architecture"].source == "lscpu -J: not found"
    assert facts["clock now, mean"].unit == "MHz"


def test_arm_tree_reports_part_numbers_and_arm_vectors(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": "\n".join(ARM_BLOCK.format(cpu=n) for n in range(2))}
    values = {name: fact.value for name, fact in cpu_section(tree(tmp_path, files), NO_LSCPU).items()}
    assert values["model"] == "implementer 0x41, part 0xd4f"
    assert values["vector instructions"] == "asimd asimdhp bf16 i8mm sme sve sve2"
    assert values["logical CPUs"] == 2
    assert values["physical cores"] is None and values["hypervisor"] is None


def test_arm_big_little_names_both_models(tmp_path: Path) -> None:
    document = {
        "lscpu": [
            {"field": "Architecture:", "data": "aarch64", "children": [{"field": "CPU(s):", "data": "8"}]},
            {"field": "Vendor ID:", "data": "ARM", "children": [
                {"field": "Model name:", "data": "Cortex-A53", "children": [
                    {"field": "Socket(s):", "data": "-"},
                ]},
                {"field": "Model name:", "data": "Cortex-A72"},
                {"field": "Flags:", "data": "fp asimd sve"},
            ]},
        ]
    }  # fmt: skip
    lscpu = parse_lscpu(Reading(json.dumps(document), "lscpu -J"), Reading(None, "lscpu -J -C: not found"))
    facts = cpu_section(tmp_path, lscpu)
    assert facts["model"].value == "Cortex-A53 + Cortex-A72"
    assert facts["logical CPUs"].value == 8
    assert facts["sockets"].value is None
    assert facts["vector instructions"].value == "asimd sve"


def test_lscpu_alone_gives_counts_and_caches(tmp_path: Path) -> None:
    row = {"name": "L2", "one-size": "2M", "all-size": "4M", "ways": 16, "coherency-size": 64}
    fields = [("CPU(s)", "8"), ("Socket(s)", "2"), ("Core(s) per socket", "2"), ("Thread(s) per core", "2")]
    lscpu = lscpu_of(*fields, ("Model name", "X"), ("CPU max MHz", "3500.0000"), caches=[row])
    facts = cpu_section(tmp_path, lscpu)
    assert [facts[name].value for name in ("sockets", "physical cores", "logical CPUs")] == [2, 4, 8]
    assert facts["clock max"].value == 3500.0
    values = {fact.name: fact.value for fact in cache_facts(tmp_path, lscpu)}
    assert values == {
        "L2 size": 2 * 1024**2, "L2 ways": 16, "L2 line": 64, "L2 shared by": None, "L2 instances": 2
    }  # fmt: skip


def test_caches_of_a_tree(tmp_path: Path) -> None:
    values = {fact.name: fact.value for fact in cache_facts(tree(tmp_path, x86_files()), NO_LSCPU)}
    assert values["L1d size"] == 32 * 1024 and values["L1d shared by"] == 2 and values["L1d instances"] == 2
    assert values["L3 size"] == 32 * 1024**2 and values["L3 shared by"] == 4 and values["L3 ways"] == 16


def test_hybrid_cpu_has_two_kinds_of_a_level(tmp_path: Path) -> None:
    files = cache(0, 0, 1, "Data", "48K", "0-1", ways=12) | cache(2, 0, 1, "Data", "32K", "2")
    values = {fact.name: fact.value for fact in cache_facts(tree(tmp_path, files), NO_LSCPU)}
    assert values["L1d size"] == 48 * 1024 and values["L1d (kind 2) size"] == 32 * 1024


def test_garbage_everywhere_is_unknown_never_an_error(tmp_path: Path) -> None:
    garbage = "\x00\xff:::\n::\n"
    names = ["proc/cpuinfo", "proc/meminfo", "etc/os-release", "proc/sys/kernel/perf_event_paranoid"]
    names += [f"{CPU}/cpu0/topology/core_cpus_list", f"{CPU}/cpufreq/boost"]
    names += [f"{CPU}/cpu0/cpufreq/{name}" for name in ("scaling_cur_freq", "cpuinfo_min_freq")]
    names += [f"{CPU}/cpu0/cache/index0/{name}" for name in ("level", "type", "size", "shared_cpu_list")]
    root = tree(tmp_path, dict.fromkeys(names, garbage))
    for text in ("", "[]", "{", '{"lscpu": [{"field": 3}, 4, {"children": 5}]}', "[" * 100_000, "\x00"):
        lscpu = parse_lscpu(Reading(text, "lscpu -J"), Reading(text, "lscpu -J -C"))
        facts = [*cpu_section(root, lscpu).values(), *cache_facts(root, lscpu)]
        facts += memory_facts(root, lscpu) + system_facts(root)
        assert [fact for fact in facts if fact.value is not None] == []
        assert all(fact.source for fact in facts)


def test_wrong_values_in_lscpu_are_not_taken(tmp_path: Path) -> None:
    facts = cpu_section(tmp_path, lscpu_of(("CPU(s)", "many"), ("Socket(s)", "-"), ("CPU max MHz", "fast")))
    assert facts["logical CPUs"].value is None
    assert facts["clock max"].value is None and "not understood" in facts["clock max"].source


@pytest.mark.parametrize("text", ["0xffffffff", "0xFFFFFFFF"])
def test_hidden_microcode_is_unknown(tmp_path: Path, text: str) -> None:
    facts = cpu_section(tree(tmp_path, {f"{CPU}/cpu0/microcode/version": text}), NO_LSCPU)
    assert facts["microcode"].value is None
    assert facts["microcode"].source.endswith("hidden by the hypervisor")


def test_x86_without_the_hypervisor_flag_has_none(tmp_path: Path) -> None:
    facts = cpu_section(tree(tmp_path, {"proc/cpuinfo": "processor: 0\nflags: fpu sse\n"}), NO_LSCPU)
    assert facts["hypervisor"].value == "none"


def test_memory_and_numa(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": "MemTotal:  1024 kB\nMemAvailable:  512 kB\nSwapTotal: 0 kB\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    }
    for node in (0, 1, 10):
        files[f"sys/devices/system/node/node{node}/cpulist"] = f"{node}\n"
        files[f"sys/devices/system/node/node{node}/meminfo"] = f"Node {node} MemTotal:   256 kB\n"
    facts = memory_facts(tree(tmp_path, files), NO_LSCPU)
    values = {fact.name: fact.value for fact in facts}
    assert values["RAM total"] == 1024**2 and values["RAM available"] == 512 * 1024
    assert values["swap total"] == 0 and values["swap free"] is None
    assert values["transparent huge pages"] == "madvise"
    assert values["NUMA nodes"] == 3 and values["NUMA node 10 RAM"] == 256 * 1024
    assert [fact.name for fact in facts if fact.name.endswith("CPUs")] == [
        "NUMA node 0 CPUs", "NUMA node 1 CPUs", "NUMA node 10 CPUs"
    ]  # fmt: skip


def test_mitigations_from_files_or_lscpu_or_unknown(tmp_path: Path) -> None:
    (unknown,) = mitigation_facts(tmp_path, NO_LSCPU)
    assert unknown.value is None
    (listed,) = mitigation_facts(tmp_path, lscpu_of(("Vulnerability Itlb multihit", "Not affected")))
    assert (listed.name, listed.value) == ("itlb_multihit", "Not affected")
    tree(tmp_path, {f"{CPU}/vulnerabilities/meltdown": "Mitigation: PTI\n"})
    (read,) = mitigation_facts(tmp_path, NO_LSCPU)
    assert (read.name, read.value) == ("meltdown", "Mitigation: PTI")


def test_system_of_a_musl_tree(tmp_path: Path) -> None:
    files = {
        "etc/os-release": 'NAME="Alpine Linux"\nPRETTY_NAME="Alpine Linux v3.20"\nBROKEN="\n',
        "proc/sys/kernel/osrelease": "6.6.1\n",
        "proc/sys/kernel/perf_event_paranoid": "-1\n",
        "lib/ld-musl-x86_64.so.1": "",
    }
    values = {fact.name: fact.value for fact in system_facts(tree(tmp_path, files))}
    assert values == {
        "OS": "Alpine Linux v3.20",
        "kernel": "6.6.1",
        "C library": "musl, version unknown",
        "perf_event_paranoid": -1,
    }


def test_pretty_name_falls_back_to_name() -> None:
    assert pretty_name("NAME=Void\n") == "Void"
    assert pretty_name("ID=x\n") is None


def test_sysctl_flags_keep_only_what_is_on() -> None:
    rows = ["neon: 1", "arm.FEAT_BF16: 1", "avx512f: 0", "floatingpoint: 1"]
    assert sysctl_flags("\n".join(f"hw.optional.{row}" for row in rows)) == "arm.FEAT_BF16 neon"
    assert sysctl_flags("") is None


def test_sizes_and_lists() -> None:
    sizes = ["48K", "2M", "32 MiB", "24 kB", "7", "32 MiB (8 instances)"]
    assert [parse_size_bytes(text) for text in sizes] == [49152, 2097152, 33554432, 24576, 7, 33554432]
    assert parse_cpu_list("0-2,5\n") == [0, 1, 2, 5]
    for text in ("", "a", "3-1", "0-99999999", "-1"):
        with pytest.raises(ValueError):
            parse_cpu_list(text)
    with pytest.raises(ValueError):
        parse_size_bytes("much")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    missing, folder, empty = (read_file(tmp_path, name) for name in ("missing", "folder", "empty"))
    assert missing == Reading(None, "/missing: not found", missing=True)
    assert folder.text is None and not folder.missing
    assert empty == Reading(None, "/empty: empty")
    assert read_file(tmp_path, "nul\0").text is None
    assert names_in(tmp_path, "missing", ".*") == []


def test_long_files_are_read_in_full(tmp_path: Path) -> None:
    text = "x" * 300_000
    assert read_file(tree(tmp_path, {"long": text}), "long").text == text


def test_commands_that_do_not_answer(tmp_path: Path) -> None:
    assert run_command([str(tmp_path / "nothing")]).source.endswith("nothing: not found")
    if not Path("/bin/sh").exists():
        pytest.skip("needs a POSIX shell")
    assert run_command(["/bin/sh", "-c", "exit 3"]).source == "/bin/sh -c exit 3: exit status 3"
    assert run_command(["/bin/sh", "-c", "printf $LC_ALL"]).text == "C"
    slow = run_command(["/bin/sh", "-c", "exec sleep 60"], timeout_s=0.05)
    assert slow.text is None and "no answer in 0.05 s" in slow.source
