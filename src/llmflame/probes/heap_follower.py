"""Follows every allocation of this process with memray, and leaves marks among its records.

Nothing here imports torch: its import is followed too.
"""

from __future__ import annotations

import contextlib
import importlib.util
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Container, Iterator
from pathlib import Path

from llmflame.errors import ProgramFailedError, UsageError
from llmflame.probes.heap_mappings import Kinds, kinds_of_mappings, mark_bytes, read_maps
from llmflame.probes.heap_trace import HeapReading, read_heap

INSTALL = "pip install 'llmflame[memory]'"


def check_memray() -> None:
    """Raise UsageError where memray can't follow allocations: before anything is run."""
    if sys.platform not in ("linux", "darwin"):
        raise UsageError(
            f"--host-allocations needs memray, which runs on Linux and macOS, not {sys.platform}"
        )
    if importlib.util.find_spec("memray") is None:
        raise UsageError(f"--host-allocations needs memray: {INSTALL}")


class Marks:
    """The edges between phases, as places in the stream of records."""

    def __init__(self) -> None:
        self.labels: list[str | None] = []
        """By mark: the phase that begins there, None for none."""
        self.maps: list[bytes | None] = []
        """By mark: the mappings that the system listed right after it, where it was asked."""

    def place(self, label: str | None, *, look: bool = False) -> None:
        """End the phase that runs and begin another, or none; `look` reads the list of mappings."""
        size = mark_bytes(len(self.labels))
        if sys.platform == "win32":
            raise NotImplementedError("memray doesn't run on Windows")
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
        self.labels.append(label)
        self.maps.append(read_maps() if look else None)


class HeapFollower:
    """Owns the file of records. Use as a context: `following` around the program, then `read`."""

    def __init__(self) -> None:
        self.marks = Marks()
        self.kinds = Kinds({})
        self.file_bytes = 0
        self.telling_apart_ns = 0
        self.adding_up_ns = 0
        self._undo = contextlib.ExitStack()
        self._file = Path()
        self._folder = Path(tempfile.gettempdir())

    def __enter__(self) -> HeapFollower:
        folder = self._undo.enter_context(tempfile.TemporaryDirectory(prefix="llmflame-"))
        self._file = Path(folder) / "allocations"
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Follow what is allocated inside, by all threads. Raises UsageError where a profiler is active."""
        import memray

        refuse_taken_hook()
        destination = memray.FileDestination(self._file, overwrite=True, compress_on_exit=False)
        tracker = memray.Tracker(
            destination=destination,
            native_traces=False,
            trace_python_allocators=False,
            file_format=memray.FileFormat.ALL_ALLOCATIONS,
        )
        self._hide()
        with tracker:
            yield

    def _hide(self) -> None:
        """Keep the file by its descriptor alone, so that it is gone however this process ends."""
        if sys.platform != "linux":
            return
        descriptor = os.open(self._file, os.O_RDONLY)
        self._undo.callback(os.close, descriptor)
        shutil.rmtree(self._file.parent)
        self._file.parent.mkdir(mode=0o700)  # what made it wants to remove it
        self._file = Path(f"/proc/self/fd/{descriptor}")

    def read(self, file_sizes: Container[int]) -> HeapReading:
        """Add the records up; a mapping that is gone is a file's if it has one of these sizes.

        Raises ProgramFailedError where records are missing at the end.
        """
        import memray

        self.file_bytes = self._file.stat().st_size
        begin = time.perf_counter_ns()
        with memray.FileReader(self._file) as reader:
            self.kinds = kinds_of_mappings(reader.get_allocation_records(), self.marks.maps, file_sizes)
            middle = time.perf_counter_ns()
            reading = read_heap(
                reader.get_allocation_records(),
                self.marks.labels,
                self.kinds.of,
                reader.metadata.main_thread_id,
            )
        self.telling_apart_ns, self.adding_up_ns = middle - begin, time.perf_counter_ns() - middle
        if reading.marks < len(self.marks.labels):
            free = shutil.disk_usage(self._folder).free
            raise ProgramFailedError(
                f"memray could keep only {self.file_bytes:,} bytes of its records in {self._folder} "
                f"({free:,} bytes are free there): set TMPDIR to a folder with more room"
            )
        return reading


def refuse_taken_hook() -> None:
    """memray takes the interpreter's hook for profilers: raise UsageError where another one has it."""
    taken = sys.getprofile() is not None
    if sys.version_info >= (3, 12):  # where cProfile has a slot of its own
        taken = taken or sys.monitoring.get_tool(sys.monitoring.PROFILER_ID) is not None
    if taken:
        raise UsageError(
            "another profiler (cProfile, memray, torch.profiler ...) is active in this process: "
            "stop it first, two would blind each other"
        )
