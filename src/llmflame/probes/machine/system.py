"""The operating system: its name, kernel and C library, and who may use its counters."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Iterator
from pathlib import Path

from llmflame.probes.machine.facts import asked, fact_of, first_known
from llmflame.probes.machine.outside import is_this_machine, names_in, read_file, read_first
from llmflame.store.model import Fact

SECTION = "system"


def system_facts(root: Path) -> list[Fact]:
    """Operating system, kernel release, C library, `perf_event_paranoid`."""
    paranoid = read_file(root, "proc/sys/kernel/perf_event_paranoid")
    return [
        first_known(_names(root)),
        first_known(_kernels(root)),
        first_known(_libraries(root)),
        fact_of(SECTION, "perf_event_paranoid", paranoid, None, int),
    ]


def pretty_name(os_release: str) -> str | None:
    """`PRETTY_NAME`, else `NAME`, of an os-release file."""
    values: dict[str, str] = {}
    for line in os_release.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            # Unbalanced quotes raise ValueError: that line says nothing.
            try:
                values[key.strip()] = " ".join(shlex.split(value))
            except ValueError:
                continue
    return values.get("PRETTY_NAME") or values.get("NAME") or None


def _names(root: Path) -> Iterator[Fact]:
    reading = read_first(root, "etc/os-release", "usr/lib/os-release")
    yield fact_of(SECTION, "OS", reading, None, pretty_name)
    if not is_this_machine(root):
        return
    release = platform.mac_ver()[0]
    if release:
        yield Fact(SECTION, "OS", f"macOS {release}", None, "platform.mac_ver()")
    yield asked(SECTION, "OS", lambda: platform.platform() or None, "platform.platform()")


def _kernels(root: Path) -> Iterator[Fact]:
    yield fact_of(SECTION, "kernel", read_file(root, "proc/sys/kernel/osrelease"))
    if is_this_machine(root):
        yield asked(SECTION, "kernel", lambda: platform.release() or None, "platform.release()")


def _libraries(root: Path) -> Iterator[Fact]:
    if is_this_machine(root):
        yield asked(SECTION, "C library", _glibc, "os.confstr(CS_GNU_LIBC_VERSION)")
    musl = names_in(root, "lib", r"ld-musl-.*")
    text = "musl, version unknown" if musl else None
    source = f"/lib/{musl[0]}" if musl else "/lib/ld-musl-*: not found"
    yield Fact(SECTION, "C library", text, None, source)


def _glibc() -> str | None:
    confstr = getattr(os, "confstr", None)
    answer = confstr("CS_GNU_LIBC_VERSION") if confstr is not None else None
    return answer if isinstance(answer, str) and answer else None
