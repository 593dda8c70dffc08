"""The manifest of a cache entry: each file's size and sha256. An entry without one isn't finished."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

NAME = "llmflame-manifest.json"
_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content in hex, read as a stream."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write(folder: Path) -> None:
    """Describe all files below `folder`; the manifest is the last file that a build writes."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }
    (folder / NAME).write_text(json.dumps({"version": 1, "files": files}, indent=1), encoding="utf-8")


def is_intact(folder: Path, *, checksums: bool) -> bool:
    """Whether all files of the manifest are there with their sizes and, if asked for, their checksums."""
    files = _read(folder)
    if not files:
        return False
    return all(_file_is_intact(folder / name, wanted, checksums) for name, wanted in files.items())


def _read(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    files = document.get("files") if isinstance(document, dict) else None
    return files if isinstance(files, dict) else {}


def _file_is_intact(path: Path, wanted: Any, checksums: bool) -> bool:
    if not isinstance(wanted, dict) or not path.is_file() or path.stat().st_size != wanted.get("bytes"):
        return False
    return not checksums or sha256_of(path) == wanted.get("sha256")
