"""Files that are there in full or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from llmflame.errors import UsageError


def check_writable(path: Path, *, force: bool) -> None:
    """Raise UsageError where `path` can't be written, or exists and `force` isn't given. Writes nothing."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if path.exists() and not force:
        raise UsageError(f"{path} exists: use --force to replace it")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path}: no permission to write there")


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write text as UTF-8, or bytes as they are, beside `path`, then rename. Raises UsageError; a file
    that was there stays."""
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "wb", dir=path.parent, prefix=f".{path.name[:100]}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(data.encode() if isinstance(data, str) else data)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process' file mode mask: it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
