"""Where the host waits for the device: how long its own frames took for the step to last as long as it did.

A wait ends when the device is done, and the device's times are known: what a step took beyond them is the
host's. So the tracing cost of the frames between waits is the one with which a run of the timeline takes the
undisturbed step's time. Where no cost does, the device itself was slower than in the traced step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llmflame.analysis.device_queue import DeviceQueue
from llmflame.analysis.timeline import Timeline

LEAST_WAITED = 0.05
"""Of a step: where the host waits less than this for the device, its modules' times say all there is."""
LEAST_SPEED = 0.2
"""Of the host's time as its modules were measured: below this something else is wrong."""
LEAST_MISSING = 0.001
"""Of a step: a run that ends so little too early needs no slower device."""
LEAST_PACE, MOST_PACE = 0.5, 2.0
ROUNDS = 12
"""Of halving: a four-thousandth of the range."""


@dataclass(frozen=True, slots=True)
class Own:
    """A slice's own time in a module that waits: as traced, and the calibrated cost in it."""

    traced_ns: float
    cost_ns: float

    def undisturbed_ns(self, rate: float) -> float:
        """Its time if events cost `rate` times as much as calibrated."""
        return max(self.traced_ns - rate * self.cost_ns, 0.0)


@dataclass(slots=True)
class _Run:
    """What a run of a timeline took."""

    total_ns: float
    waits_ns: list[float]


def fit(
    timeline: Timeline,
    own: Sequence[Own | None],
    clean_ns: float,
    *,
    usual_rate: float,
    usual_wait_ns: float,
) -> Timeline:
    """The timeline with its waits as the device makes them, `clean_ns` long if that can be.

    `own` holds the slices of modules that wait; the others' times are measured. `usual_rate` is how many
    times its calibrated cost an event cost in those, `usual_wait_ns` how long a wait goes on after the device
    is done. Where that makes the step too long, the host was faster, all of its frames alike: those between
    waits are short, and the module hooks weigh on them. Where it makes it too short, tracing cost less than
    that, down to its calibrated cost; and what is still missing then is the device's.
    """
    waited = sum(piece.bound_ns for piece in timeline.slices)
    if not timeline.works or waited < LEAST_WAITED * clean_ns:
        return timeline

    def hosts(rate: float, speed: float) -> list[float]:
        return [
            (piece.host_ns if mine is None else mine.undisturbed_ns(rate)) * speed
            for piece, mine in zip(timeline.slices, own, strict=True)
        ]

    def took(rate: float = usual_rate, speed: float = 1.0, pace: float = 1.0) -> float:
        return _run(timeline, hosts(rate, speed), pace, usual_wait_ns).total_ns

    rate, speed, pace = usual_rate, 1.0, 1.0
    usual_ns = took()
    if abs(usual_ns - clean_ns) <= LEAST_MISSING * clean_ns:
        pass
    elif usual_ns > clean_ns:
        speed = _halved(lambda one: took(speed=one), clean_ns, LEAST_SPEED, 1.0)
        if took(speed=LEAST_SPEED) > clean_ns:
            speed = 1.0
            pace = _halved(lambda one: took(pace=one), clean_ns, LEAST_PACE, 1.0)
    elif took(rate=1.0) > clean_ns:
        rate = _halved(lambda one: -took(rate=one), -clean_ns, 1.0, usual_rate)
    else:
        rate = 1.0
        pace = _halved(lambda one: took(rate=1.0, pace=one), clean_ns, 1.0, MOST_PACE)
    fitted = hosts(rate, speed)
    found = _run(timeline, fitted, pace, usual_wait_ns)
    slices = tuple(
        replace(piece, host_ns=host, bound_ns=wait)
        for piece, host, wait in zip(timeline.slices, fitted, found.waits_ns, strict=True)
    )
    return Timeline(slices, timeline.works, pace)


def _halved(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a rising function takes a value, or the end of the range that is nearer to it."""
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _run(timeline: Timeline, hosts: Sequence[float], pace: float, usual_ns: float) -> _Run:
    """Let the host run until it waits, and the device until its queues are empty."""
    device, works = DeviceQueue(), timeline.works
    waits: list[float] = []
    now, following = 0.0, 0
    for number, (piece, length) in enumerate(zip(timeline.slices, hosts, strict=True)):
        while following < len(works) and works[following].slice <= number:
            device.launch(works[following], now + works[following].within * length, pace)
            following += 1
        now += length
        wait = 0.0
        if piece.waits_for_all:
            wait = max(device.all_done() - now, 0.0) + usual_ns
        elif piece.waits_for:
            wait = max(max(device.ends[one] for one in piece.waits_for) - now, 0.0)
        waits.append(wait)
        now += wait
    return _Run(now, waits)
