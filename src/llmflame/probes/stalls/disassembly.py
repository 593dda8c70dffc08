"""Instructions by their offsets: their text from NVIDIA's disassembler, their source lines from CUPTI."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from llmflame.probes.stalls import cupti_layout as layout
from llmflame.probes.stalls.cupti_library import Cupti

TIMEOUT_S = 20.0
_LINE = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:\{\s*)?(.*?)\s*;", re.MULTILINE)
Place = tuple[str | None, int | None]
"""A file and a line."""


def disassembler() -> str | None:
    """`cuobjdump`: the CUDA toolkit's, or the one that Triton brings along."""
    spec = find_spec("triton")
    origins = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    for folder in origins:
        brought = folder / "backends" / "nvidia" / "bin" / "cuobjdump"
        if brought.is_file():
            return str(brought)
    return shutil.which("cuobjdump")


def instruction_texts(tool: str, binary: Path, function: str) -> dict[int, str]:
    """Of one function, by offset. Empty where the tool fails or takes too long."""
    try:
        ran = subprocess.run(
            [tool, "-sass", "-fun", function, str(binary)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parse_listing(ran.stdout) if ran.returncode == 0 else {}


def parse_listing(listing: str) -> dict[int, str]:
    """The instructions in a listing of cuobjdump, by offset."""
    return {int(offset, 16): text for offset, text in _LINE.findall(listing)}


def source_lines(cupti: Cupti, binary: Path, function: str, offsets: Collection[int]) -> dict[int, Place]:
    """Of some instructions of a function; none where its compiler left no line information."""
    content = binary.read_bytes()
    buffer = ctypes.create_string_buffer(content, len(content))
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    places: dict[int, Place] = {}
    for offset in offsets:
        params = layout.sized(
            layout.SourceLine,
            cubin=ctypes.addressof(buffer),
            function=function.encode(),
            cubin_bytes=len(content),
            pc_offset=offset,
        )
        if cupti.try_call("cuptiGetSassToSourceCorrelation", ctypes.byref(params)):
            return places
        folder, file = _taken(libc, params.folder), _taken(libc, params.file)
        if file:
            places[offset] = (str(Path(folder, file)), int(params.line) or None)
    return places


def _taken(libc: ctypes.CDLL, address: int | None) -> str:
    """A string that the caller must free."""
    if not address:
        return ""
    text = ctypes.string_at(address).decode(errors="replace")
    libc.free(address)
    return text
