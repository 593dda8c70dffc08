"""Where a long work is, and how long it still takes: figures and one line of text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llmflame.progress import Piece
from llmflame.views.safe import safe_text

MOST_CHARACTERS = 100
"""Of a message."""
MINUTE_S = 60
BAR_CELLS = 20
LEAST_LEFT_S = 0.5
"""Less would be shown as nothing, for as long as the last piece takes longer than foretold."""


@dataclass(slots=True)
class Course:
    """The pieces that are behind, the one that runs, and those that are ahead. Times are seconds."""

    clock: Callable[[], float] = time.monotonic
    pieces: Sequence[Piece] = ()
    at: int | None = None
    """The piece that runs."""
    message: str = ""
    began: float = field(init=False)
    _entered: float = field(init=False)
    _took: dict[int, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self._entered = self.clock()

    def begin(self, pieces: Sequence[Piece]) -> None:
        """The work consists of these pieces."""
        self.pieces, self.at = tuple(pieces), None
        self._took.clear()

    def step(self, name: str) -> None:
        """The next piece of this name runs; a name that isn't among those ahead is a message."""
        now, first = self.clock(), 0 if self.at is None else self.at + 1
        self.message = ""
        for place in range(first, len(self.pieces)):
            if self.pieces[place].name == name:
                if self.at is not None:
                    self._took[self.at] = now - self._entered
                self.at, self._entered = place, now
                return
        self.message = name

    @property
    def gone_s(self) -> float:
        """Since the work began."""
        return self.clock() - self.began

    def left_s(self) -> float | None:
        """By what the pieces so far took for their weight; None before one of each kind has ended.

        A piece that takes longer than foretold counts as about to end.
        """
        if self.at is None:
            return None
        rates = {}
        for kind in {piece.kind for piece in self.pieces[self.at :]}:
            ended = [place for place in self._took if self.pieces[place].kind == kind]
            weight = sum(self.pieces[place].weight for place in ended)
            if not weight:
                return None
            rates[kind] = sum(self._took[place] for place in ended) / weight
        here = self.pieces[self.at]
        now = max(here.weight * rates[here.kind] - (self.clock() - self._entered), 0.0)
        return now + sum(piece.weight * rates[piece.kind] for piece in self.pieces[self.at + 1 :])

    def done_share(self) -> float:
        """Of the pieces, by number before the time that is left can be told, then by time; 0 to 1."""
        if self.at is None or not self.pieces:
            return 0.0
        left = self.left_s()
        if left is None:
            return self.at / len(self.pieces)
        whole = self.gone_s + left
        return self.gone_s / whole if whole else 0.0

    def what(self) -> str:
        """What is being done, safe to show."""
        words = []
        if self.at is not None:
            words.append(f"{self.at + 1}/{len(self.pieces)} {self.pieces[self.at].name}")
        if self.message:
            words.append(self.message)
        return safe_text(" · ".join(words) or "starting", MOST_CHARACTERS)

    def when(self) -> str:
        """The time that is gone and, where it can be told, what is left."""
        left = self.left_s()
        gone = clock_time(self.gone_s)
        if left is None:
            return gone
        return f"{gone}, about {clock_time(left)} left" if left >= LEAST_LEFT_S else f"{gone}, nearly done"


def clock_time(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:30`."""
    minutes, rest = divmod(round(seconds), MINUTE_S)
    hours, minutes = divmod(minutes, MINUTE_S)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def text_bar(share: float) -> str:
    """A share of 1 in characters that every font has."""
    full = round(min(max(share, 0.0), 1.0) * BAR_CELLS)
    return "█" * full + "░" * (BAR_CELLS - full)
