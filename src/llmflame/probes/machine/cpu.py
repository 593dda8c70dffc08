"""Which CPU this is: model, microcode, hypervisor."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from llmflame.probes.machine.cpuinfo import Cpuinfo
from llmflame.probes.machine.facts import asked, fact_of, first_known
from llmflame.probes.machine.lscpu import Lscpu
from llmflame.probes.machine.outside import Reading, is_this_machine, read_file, read_first, run_command
from llmflame.store.model import Fact

SECTION = "cpu"
# Hypervisors that hide the microcode revision answer with all ones.
HIDDEN_MICROCODE = 0xFFFFFFFF


def cpu_facts(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> list[Fact]:
    """Model, architecture, microcode and hypervisor of the CPU."""
    architecture = first_known(_architectures(root, lscpu))
    return [
        first_known(_models(root, lscpu, cpuinfo)),
        architecture,
        _microcode(root, cpuinfo),
        first_known(_hypervisors(root, lscpu, cpuinfo)),
        fact_of(SECTION, "machine model", _machine_model(root)),
    ]


def _models(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> Iterator[Fact]:
    name = "model"
    yield fact_of(SECTION, name, lscpu.field("Model name"))
    yield fact_of(SECTION, name, cpuinfo.first("model name", "Processor", "cpu model", "cpu"))
    yield fact_of(SECTION, name, _arm_part(cpuinfo))
    if not is_this_machine(root):
        return
    if platform.system() == "Darwin":
        yield fact_of(SECTION, name, run_command(["sysctl", "-n", "machdep.cpu.brand_string"]))
    if platform.system() == "Windows":
        source = "environment variable PROCESSOR_IDENTIFIER"
        yield asked(SECTION, name, lambda: os.environ.get("PROCESSOR_IDENTIFIER"), source)


def _arm_part(cpuinfo: Cpuinfo) -> Reading:
    """Arm kernels give numbers in place of a name; they are reported as they stand."""
    implementer, part = cpuinfo.first("CPU implementer"), cpuinfo.first("CPU part")
    if implementer.text is None or part.text is None:
        return Reading(None, implementer.source if implementer.text is None else part.source)
    return Reading(f"implementer {implementer.text}, part {part.text}", f"{cpuinfo.source}: CPU part")


def _architectures(root: Path, lscpu: Lscpu) -> Iterator[Fact]:
    yield fact_of(SECTION, "architecture", lscpu.field("Architecture"))
    if is_this_machine(root):
        yield asked(SECTION, "architecture", lambda: platform.machine() or None, "platform.machine()")


def _microcode(root: Path, cpuinfo: Cpuinfo) -> Fact:
    candidates = (
        fact_of(SECTION, "microcode", read_file(root, "sys/devices/system/cpu/cpu0/microcode/version")),
        fact_of(SECTION, "microcode", cpuinfo.first("microcode")),
    )
    known = first_known(candidates)
    if isinstance(known.value, str) and known.value.lower() == hex(HIDDEN_MICROCODE):
        return Fact(SECTION, "microcode", None, None, f"{known.source}: hidden by the hypervisor")
    return known


def _hypervisors(root: Path, lscpu: Lscpu, cpuinfo: Cpuinfo) -> Iterator[Fact]:
    name = "hypervisor"
    yield fact_of(SECTION, name, lscpu.field("Hypervisor vendor"))
    yield fact_of(SECTION, name, read_file(root, "sys/hypervisor/type"))
    flags = cpuinfo.first("flags")
    # Only x86 has a flag that tells; on other machines silence proves nothing.
    if flags.text is not None:
        present = "hypervisor" in flags.text.split()
        text = "present, vendor unknown" if present else "none"
        yield Fact(SECTION, name, text, None, f"{flags.source}, flag hypervisor")


def _machine_model(root: Path) -> Reading:
    vendor = read_file(root, "sys/class/dmi/id/sys_vendor")
    product = read_first(root, "sys/class/dmi/id/product_name", "proc/device-tree/model")
    if product.text is None:
        return product
    words = [reading.text.strip("\0 ") for reading in (vendor, product) if reading.text is not None]
    return Reading(" ".join(words), product.source)
