"""The exact peak of the resident set over a stretch: the kernel's own high-water mark, reset at its start."""

from __future__ import annotations

import sys
from pathlib import Path


class HighWaterMark:
    """`reset` at a phase's start, `read_bytes` at its end; where it can't be reset it is the process'."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._clear = proc / "clear_refs"
        self._status = proc / "status"

    def reset(self) -> bool:
        """Start a new peak; False where the kernel doesn't allow it. Touches no page tables (value 5)."""
        try:
            self._clear.write_text("5")
        except OSError:
            return False
        return True

    def read_bytes(self) -> int | None:
        """The peak since the last reset, or None where the kernel doesn't keep one."""
        try:
            for line in self._status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        except (OSError, ValueError, IndexError):
            pass
        return _rusage_peak_bytes()


def _rusage_peak_bytes() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
