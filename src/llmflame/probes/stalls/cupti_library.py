"""The libcupti that torch has mapped into this process: never a second copy beside it.

Two of them in one process take each other's callbacks: what either says is then wrong.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmflame.errors import StallsRefusedError
from llmflame.probes.stalls import cupti_layout as layout
from llmflame.probes.stalls.cupti_refusals import refusal

MAPS = Path("/proc/self/maps")
_LIBRARY = re.compile(r"(/.*/libcupti\.so[.\d]*)$", re.MULTILINE)


def mapped_library(maps: str) -> str:
    """The path of libcupti in the text of /proc/self/maps.

    Raises StallsRefusedError where there is none, or more than one.
    """
    found: list[str] = sorted(set(_LIBRARY.findall(maps)))
    if not found:
        raise StallsRefusedError(
            "torch has no libcupti loaded: stall sampling needs a build of torch for CUDA"
        )
    if len({os.path.realpath(path) for path in found}) > 1:
        raise StallsRefusedError(
            f"two copies of libcupti are loaded ({', '.join(found)}): another profiler is in this process"
        )
    return found[0]


class Cupti:
    """Calls of one libcupti; each raises StallsRefusedError where CUPTI says anything but success."""

    def __init__(self, library: Any, path: str) -> None:
        self._library = library
        self.path = path
        version = ctypes.c_uint32()
        self.call("cuptiGetVersion", ctypes.byref(version))
        self.version = version.value
        check_version(self.version)

    @staticmethod
    def loaded(maps: Path = MAPS) -> Cupti:
        """Of this process. Raises StallsRefusedError where torch has loaded none."""
        try:
            text = maps.read_text()
        except OSError as error:
            raise StallsRefusedError(f"stall sampling works on Linux: can't read {maps}") from error
        path = mapped_library(text)
        return Cupti(ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW), path)

    def call(self, name: str, *arguments: object) -> None:
        """Call a function by its name."""
        code = self.try_call(name, *arguments)
        if code:
            raise StallsRefusedError(refusal(code, name, self._word(code)))

    def try_call(self, name: str, *arguments: object) -> int:
        """Call a function by its name; returns CUPTI's code, 0 for success."""
        try:
            function: Callable[..., int] = getattr(self._library, name)
        except AttributeError as error:
            raise StallsRefusedError(f"this libcupti ({self.path}) has no {name}") from error
        return int(function(*arguments))

    def _word(self, code: int) -> str:
        text = ctypes.c_char_p()
        try:
            self._library.cuptiGetResultString(code, ctypes.byref(text))
        except AttributeError:
            return ""
        return (text.value or b"").decode(errors="replace")


def check_version(version: int) -> None:
    """Raise StallsRefusedError for a CUPTI whose structures are laid out otherwise, or aren't known."""
    # Numbers counted up to 26; since CUDA 13 they are major * 10,000 + minor.
    major = version // 10_000 if version >= 10_000 else 12
    if version < layout.OLDEST_VERSION:
        raise StallsRefusedError(
            f"CUPTI's API version {version} is older than CUDA 12.4's, whose samples are laid out otherwise"
        )
    if major > layout.NEWEST_KNOWN_MAJOR:
        raise StallsRefusedError(
            f"CUPTI's API version {version} is newer than this release knows "
            f"(CUDA {layout.NEWEST_KNOWN_MAJOR}): the layout of its samples was not compared"
        )
