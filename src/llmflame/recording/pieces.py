"""What a recording consists of, piece by piece, for whoever wants to know how long it still takes.

Weights are forward steps, times what the instruments of the piece cost beside an undisturbed request: of the
demo model on a CPU, to a half. They only foretell; nothing that is recorded depends on them.
"""

from __future__ import annotations

from llmflame.progress import Piece
from llmflame.recording.workload import Workload

WARMUP = "warm-up"
MEMORY = "counting memory"
CALIBRATION = "calibrating the tracer"
MODULES = "timing modules"
SHAPES = "noting the operators' shapes"
WINDOWS = "tracing a few windows"
FOLLOWED = "one request, each allocation followed"
READING = "reading the allocations"
STALLS_WARMUP = "warm-up before sampling"
STALLS = "sampling stalls"
MEMORY_COST, SHAPES_COST, WINDOWS_COST, FOLLOWED_COST = 1.25, 1.25, 1.5, 3.0
STALLS_COST, EXACT_STEPS = 6.0, 60
"""Three pairs of requests; a step whose kernels run one by one takes as long as sixty."""
MODULE_STEPS = 15
"""Three requests of five steps."""
MOST_FOLLOWED = 256


def start_of(pass_name: str) -> str:
    """The piece in which a pass' process starts, imports and loads."""
    return f"{pass_name} pass"


def request_of(repetition: int, repetitions: int) -> str:
    """The piece of an undisturbed request; repetitions count from 0."""
    return f"request {repetition + 1} of {repetitions}, undisturbed"


def in_processes(workload: Workload, *, host_allocations: bool, stalls: str | None) -> list[Piece]:
    """The pieces of `llmflame profile`, each pass in a process of its own."""
    tokens = workload.new_tokens
    pieces = [
        Piece(start_of("clean"), 1, "start"),
        *_clean(tokens, workload.repetitions),
        Piece(start_of("anatomy"), 1, "start"),
        Piece(CALIBRATION, tokens),
        Piece(MODULES, min(MODULE_STEPS, 3 * tokens)),
        Piece(SHAPES, tokens * SHAPES_COST),
        Piece(WINDOWS, tokens * WINDOWS_COST),
    ]
    if host_allocations:
        followed = min(tokens, MOST_FOLLOWED) * FOLLOWED_COST
        pieces += [
            Piece(start_of("allocations"), FOLLOWED_COST, "start"),
            Piece(FOLLOWED, followed),
            Piece(READING, followed / 2),
        ]
    if stalls is not None:
        exact = EXACT_STEPS if stalls == "exact" else 0
        pieces += [
            Piece(start_of("stalls"), 1, "start"),
            Piece(STALLS_WARMUP, tokens),
            Piece(STALLS, tokens * STALLS_COST + exact),
        ]
    return pieces


def in_process(repetitions: int) -> list[Piece]:
    """The pieces of `Recorder.passes`, whose requests are as long as the caller makes them."""
    return [
        *_clean(1, repetitions),
        Piece(MODULES, 1),
        Piece(SHAPES, SHAPES_COST),
        Piece(WINDOWS, WINDOWS_COST),
    ]


def _clean(steps: float, repetitions: int) -> list[Piece]:
    return [
        Piece(WARMUP, steps),
        *(Piece(request_of(number, repetitions), steps) for number in range(repetitions)),
        Piece(MEMORY, steps * MEMORY_COST),
    ]
