"""What can be said of a process that a signal ended: by which, why, and where in the program it was."""

from __future__ import annotations

import os
import re
import signal
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from llmflame.probes.paths import short_path

GIB = 1 << 30
_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+|\?\?\?) in (?P<function>.+)')
_DUMP = re.compile(r"(Stack|(Current thread|Thread) 0x[0-9a-f]+.*) \(most recent call first\):")
_OWN_FOLDER = f"{Path(__file__).parents[1]}{os.sep}"
_LIBRARY_FOLDER = f"{sysconfig.get_path('stdlib')}{os.sep}"
_PACKAGE = re.compile(r"[/\\](?:site|dist)-packages[/\\](\w+)")


@dataclass(frozen=True, slots=True)
class MemoryEvidence:
    """What the recorder saw of memory's limits. `kills`: of its control group, before and after the pass."""

    cgroup_limit_bytes: int | None = None
    kills_before: int | None = None
    kills_after: int | None = None

    @property
    def ran_out(self) -> bool:
        """Did the kernel kill for want of memory meanwhile?"""
        before, after = self.kills_before, self.kills_after
        return before is not None and after is not None and after > before


def kill_reason(code: int, stderr: str, memory: MemoryEvidence) -> str:
    """Why a process ended with the exit code -SIGNAL, in one line.

    `stderr` is the end of what it wrote; a stack that `faulthandler` dumped there, when memory was nearly
    full, says where the program was.
    """
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code != signal.SIGKILL:
        return f"the process was killed by {name}"
    if not memory.ran_out:
        cause = " (out of memory?)"
    elif memory.cgroup_limit_bytes is None:
        cause = ": the machine ran out of memory (oom_kill)"
    else:
        limit = f"{memory.cgroup_limit_bytes / GIB:.1f} GiB"
        cause = f": the cgroup's memory limit of {limit} was hit (oom_kill)"
    frame = innermost_frame(stderr)
    return f"the process was killed by {name}{cause}" + (f", in {frame}" if frame else "")


def innermost_frame(stderr: str) -> str | None:
    """`FILE:LINE FUNCTION` of the last dumped stack's innermost frame that is the program's; None without
    one.

    Frames of llmflame, torch and Python's own library say how memory was asked for, not by whom.
    """
    frames = [frame for frame in _last_dump(stderr) if not frame["file"].startswith(_OWN_FOLDER)]
    if not frames:
        return None
    theirs = (frame for frame in frames if _is_programs(frame["file"]))
    frame = next(theirs, frames[0])
    return f"{short_path(frame['file'])}:{frame['line']} {frame['function']}"


def without_dumps(stderr: str) -> str:
    """What a process wrote itself."""
    kept, in_dump = [], False
    for line in stderr.splitlines():
        in_dump = bool(_DUMP.fullmatch(line) or (in_dump and _in_dump(line)))
        if not in_dump:
            kept.append(line)
    return "\n".join(kept)


def _last_dump(stderr: str) -> list[re.Match[str]]:
    """The frames of the last dump, innermost first."""
    frames: list[re.Match[str]] = []
    for line in stderr.splitlines():
        if _DUMP.fullmatch(line):
            frames = []
        elif match := _FRAME.fullmatch(line):
            frames.append(match)
    return frames if _DUMP.search(stderr) else []


def _in_dump(line: str) -> bool:
    return bool(_FRAME.fullmatch(line)) or line in ("  ...", "  <no Python frame>")


def _is_programs(file: str) -> bool:
    # Packages may lie inside the folder of Python's own library.
    package = _PACKAGE.search(file)
    return package[1] != "torch" if package else not file.startswith((_LIBRARY_FOLDER, "<"))
