"""What malloc and Python's own allocator say of themselves."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmflame.probes.memory.heap import Heap, HeapUse, python_arena_bytes

MIB = 1 << 20
PAGE = 4096
BLOCK = 10 * MIB

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc's mallinfo2")


def use(heap: Heap) -> HeapUse:
    found = heap.read()
    assert found is not None
    return found


@glibc
@pytest.mark.parametrize("size", [BLOCK, 100 * MIB])
def test_a_block_is_seen_to_within_a_page(size: int) -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    heap = Heap()
    heap.read()
    before = use(heap)
    block = ctypes.c_void_p(libc.malloc(size))
    during = use(heap)
    libc.free(block)
    after = use(heap)
    assert 0 <= during.used_bytes - before.used_bytes - size <= 2 * PAGE
    assert abs(after.used_bytes - before.used_bytes) <= PAGE


@glibc
def test_small_blocks_that_were_given_back_are_free_and_not_in_use() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    heap, count, size = Heap(), 2000, 4000
    blocks = (ctypes.c_void_p * (count + 1))()
    before = use(heap)
    for number in range(count + 1):
        blocks[number] = libc.malloc(size)
    during = use(heap)
    for number in range(count):  # the last one stays: the others can't leave the heap's top
        libc.free(ctypes.c_void_p(blocks[number]))
    after = use(heap)
    libc.free(ctypes.c_void_p(blocks[count]))
    whole = count * size
    assert during.used_bytes - before.used_bytes == pytest.approx(whole, rel=0.05)
    assert during.used_bytes - after.used_bytes == pytest.approx(whole, rel=0.05)
    assert during.used_bytes + during.free_bytes >= before.used_bytes + before.free_bytes


def test_another_c_library_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert Heap().read() is None


def test_asking_python_leaves_the_standard_error_where_it_was() -> None:
    before = os.fstat(2)
    found = python_arena_bytes()
    after = os.fstat(2)
    assert found is not None and found > 0 and found % (256 * 1024) == 0
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_asking_python_leaves_no_descriptor() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    python_arena_bytes()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_nothing_of_the_statistics_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    python_arena_bytes()
    os.write(2, b"still here\n")
    assert capfd.readouterr() == ("", "still here\n")


def in_a_process(program: str, **environment: str) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from llmflame.probes.memory.heap import python_arena_bytes as ask\n{program}",
        ],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ) | environment,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_pythons_arenas_grow_with_its_objects() -> None:
    """A tuple, a number and a text each take 40 bytes at least."""
    program = "first = ask(); kept = [(n, str(n)) for n in range(200_000)]; print(ask() - first)"
    assert int(in_a_process(program)) >= 200_000 * 3 * 40 - MIB


def test_without_pythons_own_allocator_there_are_no_arenas() -> None:
    assert in_a_process("print(ask())", PYTHONMALLOC="malloc") == "None"


def test_a_process_without_a_standard_error_is_asked_all_the_same_and_has_none_afterwards() -> None:
    program = """
import os
os.close(2)
found = ask()
try:
    os.fstat(2)
except OSError:
    print(found)
"""
    assert int(in_a_process(program)) > 0
