"""The process' memory map: what the kernel writes, and which file an address lies in."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.probes.memory.mappings import KIB, FileRanges, Mapping, read_mappings

ENTRY = """{begin:x}-{end:x} {flags} 00000000 fe:01 {inode}{pad}{name}
Size:               {size} kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                 {rss} kB
Pss:                 {pss} kB
Pss_Dirty:             7 kB
Shared_Clean:          7 kB
Private_Dirty:         7 kB
Referenced:            7 kB
Anonymous:           {anonymous} kB
KSM:                   0 kB
LazyFree:              7 kB
AnonHugePages:      2048 kB
ShmemPmdMapped:        7 kB
FilePmdMapped:         7 kB
Shared_Hugetlb:        7 kB
Private_Hugetlb:    2048 kB
Swap:                {swap} kB
SwapPss:               7 kB
Locked:                7 kB
THPeligible:           0
ProtectionKey:         0
VmFlags: rd wr mr mw me ac sd
"""
START = 0x7F00_0000_0000
STRIDE = 0x10_0000


def entry(
    name: str, place: int = 0, *, rss: int = 40, pss: int = 20, anonymous: int = 8, swap: int = 4
) -> str:
    begin = START + place * STRIDE
    return ENTRY.format(
        begin=begin, end=begin + STRIDE // 2, flags="rw-p", inode=1234 if name.startswith("/") else 0,
        pad=" " * 20 if name else " ", name=name, size=STRIDE // 2048, rss=rss, pss=pss, anonymous=anonymous,
        swap=swap,
    )  # fmt: skip


def read(folder: Path, *entries: str) -> list[Mapping]:
    (folder / "smaps").write_text("".join(entries), "utf-8")
    found = read_mappings(folder)
    assert found is not None
    return found


def test_the_numbers_of_a_mapping_and_none_of_those_with_similar_names(tmp_path: Path) -> None:
    assert read(tmp_path, entry("/usr/lib/libc.so.6")) == [
        Mapping(
            START, START + STRIDE // 2, "/usr/lib/libc.so.6", 40 * KIB, 20 * KIB, 8 * KIB, 4 * KIB
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_file", "is_weights", "is_shared"),
    [
        ("/usr/lib/libtorch_cpu.so", True, False, False),
        ("/models/a b/model-00001-of-00002.safetensors", True, True, False),
        ("/models/model.safetensors (deleted)", True, True, False),
        ("/models/tiny.gguf", True, True, False),
        ("/models/-x", True, False, False),
        ("/tmp/library.so (deleted)", True, False, False),
        ("/dev/zero (deleted)", False, False, True),
        ("/dev/nvidia0", False, False, True),
        ("/dev/shm/torch_1_2 (deleted)", False, False, True),
        ("/memfd:cuda (deleted)", False, False, True),
        ("/SYSV00000000 (deleted)", False, False, True),
        ("/anon_hugepage (deleted)", False, False, False),
        ("[heap]", False, False, False),
        ("[stack]", False, False, False),
        ("[vdso]", False, False, False),
        ("[anon:glibc: malloc]", False, False, False),
        ("", False, False, False),
    ],
)
def test_what_a_mapping_is_by_its_name(
    tmp_path: Path, name: str, is_file: bool, is_weights: bool, is_shared: bool
) -> None:
    (found,) = read(tmp_path, entry(name))
    assert found.name == name
    assert (found.is_file, found.is_weights, found.is_shared) == (is_file, is_weights, is_shared)


def test_all_mappings_in_order_with_their_own_numbers(tmp_path: Path) -> None:
    names = ["/a b  c", "", "[heap]", "/x-y (deleted)", ""]
    found = read(tmp_path, *(entry(name, place, rss=place) for place, name in enumerate(names)))
    assert [one.name for one in found] == names
    assert [one.resident_bytes for one in found] == [place * KIB for place in range(5)]
    assert [one.begin for one in found] == sorted(one.begin for one in found)


def test_a_file_whose_name_is_no_text_does_not_hide_the_others(tmp_path: Path) -> None:
    """A library below a folder in another encoding had the whole census fail."""
    (tmp_path / "smaps").write_bytes(
        entry("/tmp/NAME/lib.so").encode().replace(b"NAME", b"caf\xe9") + entry("/usr/lib/b.so", 1).encode()
    )
    found = read_mappings(tmp_path)
    assert found is not None
    assert [one.is_file for one in found] == [True, True]


def test_a_kernel_without_some_of_the_numbers(tmp_path: Path) -> None:
    text = entry("/a")
    short = "\n".join(line for line in text.splitlines() if not line.startswith(("Pss", "Swap"))) + "\n"
    (found,) = read(tmp_path, short)
    assert (found.resident_bytes, found.proportional_bytes, found.swap_bytes) == (40 * KIB, 0, 0)


def test_a_map_that_can_not_be_read_is_not_known(tmp_path: Path) -> None:
    assert read_mappings(tmp_path) is None
    (tmp_path / "smaps").mkdir()
    assert read_mappings(tmp_path) is None


def test_an_empty_map(tmp_path: Path) -> None:
    assert read(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="needs /proc")
def test_the_map_of_this_process_knows_a_file_that_it_maps(tmp_path: Path) -> None:
    path = tmp_path / "some weights.safetensors"
    size = 64 * KIB
    path.write_bytes(b"x" * size)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[::4096]) == size // 4096 * ord("x")
        found = read_mappings()
        assert found is not None
        (mine,) = (one for one in found if one.name == str(path))
    assert mine.is_weights and mine.end - mine.begin == size
    assert mine.resident_bytes == size and mine.anonymous_bytes == 0
    begins = [one.begin for one in found]
    assert begins == sorted(begins)
    assert any(one.name == "[heap]" for one in found)


RANGES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20), st.booleans()), max_size=12)


@given(RANGES, st.integers(-3, 320))
def test_an_address_lies_in_the_file_that_a_search_through_all_finds(
    ranges: list[tuple[int, int, bool]], address: int
) -> None:
    mappings, at = [], 0
    for number, (gap, length, is_file) in enumerate(ranges):
        at += gap
        mappings.append(Mapping(at, at + length, f"/{number}" if is_file else "[heap]", 0, 0, 0, 0))
        at += length
    expected = [one for one in mappings if one.is_file and one.begin <= address < one.end]
    assert FileRanges(mappings).of(address) == (expected[0] if expected else None)
