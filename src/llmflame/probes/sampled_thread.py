"""What the sampler saw of one thread: how much time in which stack, and when that was."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Seen:
    """What one stack was charged with."""

    wall_ns: int = 0
    cpu_ns: int = 0
    samples: int = 0
    resident_bytes: int = 0


Piece = tuple[Seen | None, int, int]
"""What a sample charged its time to (None: to nothing that is known), and from when to when that was."""


@dataclass(slots=True)
class SampledThread:
    """One thread over a stretch: pieces in order, those of one stack that meet as one."""

    native_id: int | None
    name: str | None
    is_main: bool = False
    pieces: list[Piece] = field(default_factory=list)

    def add(self, seen: Seen | None, begin_ns: int, end_ns: int) -> None:
        """The thread was in a stack; nothing happens where the time is none."""
        if end_ns <= begin_ns:
            return
        if self.pieces and self.pieces[-1][0] is seen and self.pieces[-1][2] == begin_ns:
            begin_ns = self.pieces.pop()[1]
        self.pieces.append((seen, begin_ns, end_ns))

    def within(self, begin_ns: int, end_ns: int) -> list[Piece]:
        """Its pieces in a stretch, from the stretch's beginning on. The last sample may have been taken after
        the instant at which the stretch is said to end."""
        clipped = [(seen, max(begin, begin_ns), min(end, end_ns)) for seen, begin, end in self.pieces]
        return [(seen, begin - begin_ns, end - begin_ns) for seen, begin, end in clipped if end > begin]


def thread_name(native_id: int) -> str | None:
    """What the program calls a thread; None where it is gone."""
    return next((one.name for one in threading.enumerate() if one.native_id == native_id), None)
