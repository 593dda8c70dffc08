"""Compiles our C++ once for this machine, and keeps it in the cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.subjects import cache

COMPILERS = ("g++", "clang++")
_COMPILE = ("-std=c++17", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC", "-c")
_LINK = ("-shared", "-fopenmp")
"""Without -ffast-math: linked with it, loading the library would change how the whole process rounds."""


def library(source: Path) -> ctypes.CDLL:
    """The shared library of a C++ file. Raises UsageError where none can be made."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise UsageError(f"no C++ compiler is on the PATH: {' or '.join(COMPILERS)} is needed")
    said = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    # The processor belongs to it: what is made for this one may not run on another.
    parts = (source.read_bytes(), said, " ".join((*_COMPILE, *_LINK)).encode(), _processor())
    name = hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]
    folder = cache.folder() / "kernels"
    target = folder / f"{source.stem}-{name}.so"
    if not target.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _build(compiler, source, target)
        except OSError as error:
            raise UsageError(f"the cache folder {folder} can't be used ({error.strerror})") from error
    return ctypes.CDLL(str(target))


def _build(compiler: str, source: Path, target: Path) -> None:
    """Beside the target first: a build that is stopped leaves nothing that looks finished."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as temporary:
        made, linked = Path(temporary) / "made.o", Path(temporary) / "made.so"
        for command in (
            [compiler, *_COMPILE, str(source), "-o", str(made)],
            [compiler, *_LINK, str(made), "-o", str(linked)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no reason given"]
                raise UsageError(f"{Path(compiler).name} can't compile {source.name}: {lines[0][:300]}")
        linked.replace(target)


def _processor() -> bytes:
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    kept = (b"model name", b"flags", b"Features", b"CPU part")
    return b"".join(sorted({line for line in lines if line.startswith(kept)}))
