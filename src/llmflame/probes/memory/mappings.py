"""The resident pages of this process by what they are pages of: libraries, weight files, other files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

KIB = 1024
_SHARED = ("/dev/", "/memfd:", "/SYSV")
_DEVICES = "/dev/nvidia"
_NO_FILES = (*_SHARED, "/anon_hugepage")
"""What the kernel names like files: shared memory, and private memory in huge pages."""
WEIGHT_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt", ".pth")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One entry of `smaps`."""

    begin: int
    end: int
    name: str
    """A file's path, `[heap]`, `[stack]`, or empty for anonymous memory."""
    resident_bytes: int
    proportional_bytes: int
    """Pages shared with other processes counted in parts (PSS)."""
    anonymous_bytes: int
    """Resident pages that are this process' own copy."""
    swap_bytes: int

    @property
    def is_file(self) -> bool:
        """Are its pages, those not copied, of a file?"""
        return self.name.startswith("/") and not self.name.startswith(_NO_FILES)

    @property
    def is_shared(self) -> bool:
        """Shared memory counts neither as a file's pages nor as private: page-locked buffers lie in such."""
        return self.name.startswith(_SHARED)

    @property
    def is_counted_as_file(self) -> bool:
        """Is it in the kernel's sum of file pages (RssFile)? A driver's pages are in there, too."""
        return self.is_file or self.name.startswith(_DEVICES)

    @property
    def is_weights(self) -> bool:
        """Is it a mapped weight file?"""
        return self.is_file and self.name.removesuffix(" (deleted)").endswith(WEIGHT_SUFFIXES)


_WANTED = {"Rss": 3, "Pss": 4, "Anonymous": 5, "Swap": 6}


def read_mappings(proc: Path = Path("/proc/self")) -> list[Mapping] | None:
    """All mappings in order of address, or None where they can't be read. Takes milliseconds: page tables are
    walked, and the process' memory map is locked meanwhile."""
    try:
        # Names of files are any bytes.
        with (proc / "smaps").open(encoding="utf-8", errors="surrogateescape") as file:
            return list(_parse(file))
    except OSError:
        return None


def _parse(lines: Iterable[str]) -> Iterator[Mapping]:
    current: list[int | str] | None = None
    for line in lines:
        head, _, rest = line.partition(" ")
        if head.endswith(":"):
            place = _WANTED.get(head[:-1])
            if place is not None and current is not None:
                current[place] = int(rest.split()[0]) * KIB
        elif "-" in head:
            if current is not None:
                yield Mapping(*current)  # type: ignore[arg-type]
            begin, _, end = head.partition("-")
            fields = rest.split(None, 4)
            name = fields[4].strip() if len(fields) > 4 else ""
            current = [int(begin, 16), int(end, 16), name, 0, 0, 0, 0]
    if current is not None:
        yield Mapping(*current)  # type: ignore[arg-type]


class FileRanges:
    """Tells the file mapping that an address lies in."""

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        self._files = [mapping for mapping in mappings if mapping.is_file]
        self._begins = [mapping.begin for mapping in self._files]

    def of(self, address: int) -> Mapping | None:
        """The file mapping around an address; None for memory of nobody's file."""
        place = bisect_right(self._begins, address) - 1
        if place < 0 or address >= self._files[place].end:
            return None
        return self._files[place]
