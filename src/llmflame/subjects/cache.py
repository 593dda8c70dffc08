"""The cache folder, and building an entry in it exactly once.

A build runs under a lock in a temporary sibling folder and is renamed into place when it is complete, so a
killed build leaves nothing that looks finished. Whoever holds an entry's lock may remove its leftovers: the
operating system drops the lock of a process that died.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.subjects import manifest
from llmflame.subjects.progress import Progress, silent

_TEMPORARY = ".building-"


def folder() -> Path:
    """$LLMFLAME_CACHE, else $XDG_CACHE_HOME/llmflame, else the platform's cache folder; it may be missing."""
    if own := os.environ.get("LLMFLAME_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "llmflame"
    if (local := os.environ.get("LOCALAPPDATA")) and os.name == "nt":
        return Path(local) / "llmflame"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "llmflame"
    return Path.home() / ".cache" / "llmflame"


def finished(key: str) -> Path | None:
    """The folder of a finished and intact entry, else None. Takes no lock and reads only file sizes."""
    entry = folder() / key
    return entry if manifest.is_intact(entry, checksums=False) else None


def build_once(
    key: str, build: Callable[[Path], None], *, verify: bool = False, progress: Progress = silent
) -> Path:
    """The folder of entry `key`; `build` fills it if missing or damaged. One process builds, others wait.

    With `verify`, all checksums are read too, not only the sizes. Raises UsageError where the cache can't be
    written or its disk is full.
    """
    if not verify and (entry := finished(key)):
        return entry
    entry = folder() / key
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with _lock(key, progress):
            if not manifest.is_intact(entry, checksums=verify):
                _sweep(key)
                _build(entry, build)
    except OSError as error:
        raise UsageError(_explain(error)) from error
    return entry


def _build(entry: Path, build: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{entry.name}-", dir=entry.parent))
    try:
        content = temporary / "content"
        content.mkdir()
        build(content)
        manifest.write(content)
        if entry.exists():
            # Moved aside first: a reader sees the damaged entry or the new one, never half of one.
            entry.rename(temporary / "damaged")
        content.rename(entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _lock(key: str, progress: Progress) -> Iterator[None]:
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        raise UsageError("the cache needs the package `filelock`: pip install 'llmflame[run]'") from None
    lock = FileLock(folder() / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("waiting for another llmflame that prepares the same model")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sweep(key: str) -> None:
    """Remove what dead builds left behind: of this entry, and of any other whose lock is free."""
    from filelock import FileLock, Timeout

    for leftover in folder().glob(f"{_TEMPORARY}*"):
        owner = leftover.name.removeprefix(_TEMPORARY).rpartition("-")[0]
        if owner == key:
            shutil.rmtree(leftover, ignore_errors=True)
            continue
        with contextlib.suppress(Timeout), FileLock(folder() / f"{owner}.lock").acquire(timeout=0):
            shutil.rmtree(leftover, ignore_errors=True)


def _explain(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of the cache folder {folder()} is full: free some space or set LLMFLAME_CACHE"
    reason = error.strerror or error
    return f"the cache folder {folder()} can't be used ({reason}): set LLMFLAME_CACHE to another"
