"""How fast the disk below a folder reads what is not in memory.

The file that is read has no name: the operating system frees it when it is closed, whatever happens.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from llmflame.probes.ceilings.outcome import NotMeasured, Outcome, fact_of
from llmflame.probes.ceilings.sizes import MIB, Sizes
from llmflame.probes.ceilings.timing import per_second
from llmflame.probes.pagecache import cached_share
from llmflame.store.model import Fact

NAME = "disk read"
ROOM_SHARE = 16
"""The file takes at most one part in so many of the room that is free."""
LEAST_BYTES = 16 * MIB
BLOCK_BYTES = 4 * MIB
SYNC_BYTES = 32 * MIB
READERS = (1, 4)
"""Threads that read at once: one is best for a disk that turns, several for one that doesn't."""
PASSES = 3
STAYING_SHARE = 0.01
"""More of the file than this in memory, and what is measured is no longer the disk."""


def disk_fact(folder: Path, sizes: Sizes, progress: Callable[[str], None]) -> Fact:
    """`disk read` in bytes a second; unknown, with the reason, where the page cache can't be emptied."""
    progress(f"measuring {NAME}")
    return fact_of(NAME, lambda: read(folder, sizes))


def read(folder: Path, sizes: Sizes) -> Outcome:
    """Write incompressible bytes, drop them from the page cache, read them back.

    Raises NotMeasured where the system can't drop them or the disk is nearly full, OSError where it is full.
    """
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "preadv"):
        raise NotMeasured("this system can't drop a file from its page cache")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = min(sizes.disk_bytes, shutil.disk_usage(folder).free // ROOM_SHARE)
    if wanted < min(LEAST_BYTES, sizes.disk_bytes):
        raise NotMeasured(f"less than {ROOM_SHARE * LEAST_BYTES // MIB} MiB are free")
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        descriptor = file.fileno()
        size = _fill(descriptor, wanted, time.monotonic() + sizes.disk_write_s)
        outcomes = [
            _outcome(descriptor, size, readers, sizes.disk_read_s / len(READERS)) for readers in READERS
        ]
    return max(outcomes, key=lambda outcome: outcome.value)


def _fill(descriptor: int, wanted: int, deadline: float) -> int:
    """Write until `wanted` bytes are on the disk or time is over. Returns how many are."""
    written = unsynced = 0
    while written < wanted:
        rest = memoryview(os.urandom(min(BLOCK_BYTES, wanted - written)))
        while rest:
            done = os.write(descriptor, rest)
            rest = rest[done:]
            written += done
            unsynced += done
        if unsynced >= SYNC_BYTES:
            os.fsync(descriptor)
            unsynced = 0
            if time.monotonic() > deadline:
                break
    os.fsync(descriptor)
    return written


def _outcome(descriptor: int, size: int, readers: int, limit_s: float) -> Outcome:
    deadline = time.monotonic() + limit_s
    rates: list[float] = []
    checked = ""
    while len(rates) < PASSES and (not rates or time.monotonic() < deadline):
        checked = _drop(descriptor)
        begin = time.perf_counter_ns()
        done = _read_all(descriptor, size, readers, deadline)
        rates.append(per_second(done, time.perf_counter_ns() - begin))
    words = "1 thread" if readers == 1 else f"{readers} threads"
    how = f"preadv of {size // MIB} MiB in {words}, page cache {checked}, median of {len(rates)}"
    return Outcome(median(rates), how)


def _drop(descriptor: int) -> str:
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    share = cached_share([Path(f"/proc/self/fd/{descriptor}")])
    if share is None:
        return "dropped by posix_fadvise, unverified"
    if share > STAYING_SHARE:
        raise NotMeasured(f"{share:.0%} of the file stays in memory: the page cache can't be dropped here")
    return "dropped (mincore)"


def _read_all(descriptor: int, size: int, readers: int, deadline: float) -> int:
    """Each reader reads a part of its own from its begin to its end. Returns how many bytes were read."""
    part = -(-size // readers)
    starts = range(0, size, part)
    if readers == 1:
        return _read_part(descriptor, 0, size, deadline)
    with ThreadPoolExecutor(readers) as pool:
        parts = [
            pool.submit(_read_part, descriptor, start, min(start + part, size), deadline) for start in starts
        ]
        return sum(one.result() for one in parts)


def _read_part(descriptor: int, start: int, end: int, deadline: float) -> int:
    block = memoryview(bytearray(BLOCK_BYTES))
    position = start
    while position < end:
        got = os.preadv(descriptor, [block[: end - position]], position)
        if not got:
            raise NotMeasured("the file ended early")
        position += got
        if time.monotonic() > deadline:
            break
    return position - start
