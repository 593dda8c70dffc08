"""The peak of the resident set since a phase began."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from llmflame.probes import peak as module
from llmflame.probes.peak import HighWaterMark

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def _proc(folder: Path, status: str) -> HighWaterMark:
    (folder / "clear_refs").write_text("")
    (folder / "status").write_text(status)
    return HighWaterMark(folder)


def test_the_kernels_mark_is_read_and_reset(tmp_path: Path) -> None:
    mark = _proc(tmp_path, "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t  123 kB\nVmRSS:\t  100 kB\n")
    assert mark.read_bytes() == 123 * 1024
    assert mark.reset()
    assert (tmp_path / "clear_refs").read_text() == "5", "other values would touch the page tables"


@pytest.mark.parametrize("status", ["", "VmHWM:\n", "VmHWM: many kB\n", "Name: VmHWM: 5 kB\n"])
def test_without_a_mark_it_is_the_process_peak(
    tmp_path: Path, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_rusage_peak_bytes", lambda: 4711)
    assert _proc(tmp_path, status).read_bytes() == 4711


def test_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_rusage_peak_bytes", lambda: None)
    mark = HighWaterMark(tmp_path / "none")
    assert mark.reset() is False
    assert mark.read_bytes() is None


def test_the_process_peak_is_in_bytes() -> None:
    found = module._rusage_peak_bytes()
    assert found is not None and found > 1 << 20


def test_a_peak_is_seen_after_it_has_passed_and_forgotten_by_a_reset() -> None:
    mark = HighWaterMark()
    if not mark.reset():
        pytest.skip("this kernel keeps no resettable mark")
    size = 64 << 20
    before = mark.read_bytes()
    memory = mmap.mmap(-1, size)
    for offset in range(0, size, PAGE):
        memory[offset] = 1
    memory.close()
    after = mark.read_bytes()
    assert before is not None and after is not None
    assert after - before > size * 0.9
    mark.reset()
    again = mark.read_bytes()
    assert again is not None and again < after
