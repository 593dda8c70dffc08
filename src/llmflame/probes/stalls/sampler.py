"""What a source of stall samples must do, whoever makes the device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

Place = tuple[str, str, int, int, str]
"""Function as the compiler named it, its binary's checksum in hexadecimal, the launch's number (0 where
launches aren't told apart), the offset of the instruction in bytes, and the stall reason."""
NOT_ISSUED = "_not_issued"
"""Ends the name of a reason's twin: those of its samples in which the scheduler issued nothing."""


@dataclass(slots=True)
class StallCounts:
    """Samples of one range."""

    samples: Counter[Place] = field(default_factory=Counter)
    total: int = 0
    """With those of kernels that the vendor hides, and with dropped ones."""
    dropped: int = 0
    """Lost by the hardware."""
    hidden: int = 0
    """In kernels that the vendor gives no instructions of."""
    buffer_full: bool = False
    """The hardware's buffer ran full: an unknown number is missing."""

    def add(self, other: StallCounts) -> None:
        """Add another range's."""
        self.samples.update(other.samples)
        self.total += other.total
        self.dropped += other.dropped
        self.hidden += other.hidden
        self.buffer_full |= other.buffer_full


class StallSampler(Protocol):
    """Samples ranges of device work. The caller waits for the device before `start` and before `stop`."""

    reasons: tuple[str, ...]
    """All that the chip can say, as the vendor names them."""
    description: dict[str, str]
    """Who samples, how often; for the record."""

    def start(self) -> None:
        """Begin a range."""

    def drain(self) -> None:
        """Take over what has been sampled: buffers are finite. Needs no waiting for the device."""

    def stop(self) -> StallCounts:
        """End the range; what was sampled in it."""

    def close(self) -> None:
        """Take the instruments off the device. May be called more than once."""


class NoSampler:
    """Samples nothing: what a request takes with the same waits for the device and no instrument."""

    def __init__(self) -> None:
        self.reasons: tuple[str, ...] = ()
        self.description: dict[str, str] = {}

    def start(self) -> None:
        """Nothing."""

    def drain(self) -> None:
        """Nothing."""

    def stop(self) -> StallCounts:
        """No samples."""
        return StallCounts()

    def close(self) -> None:
        """Nothing."""
