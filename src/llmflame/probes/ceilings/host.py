"""What the processor and its memory reach, with as many threads as torch uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch

from llmflame.probes.ceilings.outcome import NotMeasured, Outcome, fact_of
from llmflame.probes.ceilings.precision import float32_precision
from llmflame.probes.ceilings.sizes import MIB, Sizes, host_buffer_bytes
from llmflame.probes.ceilings.timing import per_second, timed
from llmflame.store.model import Fact

Progress = Callable[[str], None]
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TILE_BYTES = 4 * MIB
COLUMNS = 4096
TRIAL_SIDE = 256
WARM_AND_LEAST_RUNS = 4


def memory_facts(sizes: Sizes, progress: Progress) -> list[Fact]:
    """`host copy` and `host read` in bytes a second."""
    facts = []
    for name, measure in (("host copy", copy), ("host read", read)):
        progress(f"measuring {name}")
        facts.append(fact_of(name, partial(measure, sizes)))
    return facts


def matmul_facts(sizes: Sizes, progress: Progress) -> list[Fact]:
    """`host matmul float32`, `bfloat16`, `float16` in FLOP a second."""
    facts = []
    for dtype in DTYPES:
        name = f"host matmul {str(dtype).removeprefix('torch.')}"
        progress(f"measuring {name}")
        facts.append(fact_of(name, partial(matmul, dtype, sizes)))
    return facts


def copy(sizes: Sizes) -> Outcome:
    """A copy between two buffers; the bytes read and those written both count."""
    size, words = host_buffer_bytes(sizes, buffers=2)
    source = filled(size)
    target = source.clone()
    result = timed(lambda: target.copy_(source), sizes.repeats, sizes.limit_s)
    how = f"Tensor.copy_ of {words}, read + written, {threads()}, median of {result.runs}"
    return Outcome(per_second(2 * size, result.median_ns), how)


def read(sizes: Sizes) -> Outcome:
    """A buffer read once: the faster one of a sum and a product of a matrix and a vector."""
    size, words = host_buffer_bytes(sizes, buffers=1)
    buffer = filled(size).view(torch.float32)
    matrix = buffer[: buffer.numel() // COLUMNS * COLUMNS].view(-1, COLUMNS)
    vector = torch.rand(COLUMNS)
    ways: list[tuple[str, int, Callable[[], object]]] = [("Tensor.sum", size, buffer.sum)]
    if len(matrix):
        ways.append(("torch.mv", matrix.nbytes, lambda: torch.mv(matrix, vector)))
    outcomes = []
    for way, amount, call in ways:
        result = timed(call, sizes.repeats, sizes.limit_s / len(ways))
        how = f"{way} over {words} of float32, {threads()}, median of {result.runs}"
        outcomes.append(Outcome(per_second(amount, result.median_ns), how))
    return max(outcomes, key=lambda outcome: outcome.value)


def matmul(dtype: torch.dtype, sizes: Sizes) -> Outcome:
    """The product of two square matrices of random numbers, of the side that is fastest.

    Raises NotMeasured where even a small product takes too long.
    """
    deadline = time.monotonic() + sizes.limit_s
    with float32_precision("highest"):
        rate = _rate(dtype, min(TRIAL_SIDE, *sizes.host_matmul_sides), sizes)
        best: Outcome | None = None
        for side in sorted(sizes.host_matmul_sides):
            expected_s = WARM_AND_LEAST_RUNS * 2 * side**3 / rate.value
            if best is not None and time.monotonic() + expected_s > deadline:
                break
            if expected_s > sizes.limit_s:
                raise NotMeasured(
                    f"a product of side {side} would take {expected_s / WARM_AND_LEAST_RUNS:.1f} s"
                )
            outcome = _rate(dtype, side, sizes)
            best = outcome if best is None else max(best, outcome, key=lambda one: one.value)
    assert best is not None
    return best


def _rate(dtype: torch.dtype, side: int, sizes: Sizes) -> Outcome:
    left, right = (torch.randn(side, side).to(dtype) for _ in range(2))
    out = torch.empty(side, side, dtype=dtype)
    result = timed(lambda: torch.mm(left, right, out=out), sizes.repeats, sizes.limit_s / 2)
    how = f"torch.mm of side {side}, random numbers, {threads()}, median of {result.runs}"
    return Outcome(per_second(2 * side**3, result.median_ns), how)


def filled(size: int) -> torch.Tensor:
    """`size` bytes of random float32 numbers, one block of them again and again: quick to make, no zeros."""
    block = torch.rand(min(size, TILE_BYTES) // 4) + 0.5
    buffer = torch.empty(size // 4)
    whole = buffer.numel() // block.numel() * block.numel()
    buffer[:whole].view(-1, block.numel()).copy_(block)
    buffer[whole:] = block[: buffer.numel() - whole]
    return buffer


def threads() -> str:
    """How many threads torch computes with, in words."""
    count = torch.get_num_threads()
    return f"{count} thread" if count == 1 else f"{count} threads"
