"""MODEL as a GGUF file: recognised by its first bytes, converted once into a safetensors checkpoint."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.subjects import cache, child
from llmflame.subjects.manifest import sha256_of
from llmflame.subjects.progress import Progress

CONVERTER_VERSION = 1
"""Part of the cache key: raise it when the same file would be converted to something else."""
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


def cache_key(content_sha256: str) -> str:
    """The cache entry of a GGUF file, by its content: its name and place don't matter."""
    return f"gguf-{content_sha256[:20]}-v{CONVERTER_VERSION}"


def check(path: Path) -> None:
    """Raise UsageError with one line unless `path` is a GGUF file that the converter can read."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})") from error
    if head[:4] != _MAGIC:
        raise UsageError(f"{path} isn't a GGUF file: it doesn't begin with the bytes `GGUF`")
    if len(head) < 24:
        raise UsageError(f"{path} is cut off: its GGUF header is incomplete")
    (version,) = struct.unpack_from("<I", head, 4)
    if version not in _VERSIONS:
        raise UsageError(f"{path} is GGUF version {version}; versions 2 and 3, little endian, can be read")
    if _SPLIT.search(path.name):
        raise UsageError(
            f"{path} is one part of a split file: merge the parts with `llama-gguf-split --merge`"
        )


def folder(path: Path, progress: Progress) -> Path:
    """The checkpoint folder made from `path`, from the cache if the same content was converted before."""
    check(path)

    def build(target: Path) -> None:
        arguments = ["gguf", str(target), str(path.resolve())]
        child.run(arguments, what=f"converting {path.name}", progress=progress)

    return cache.build_once(cache_key(sha256_of(path)), build, progress=progress)
