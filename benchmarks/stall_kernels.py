"""Triton kernels that are each held up by one thing, as modules whose forward call launches them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

LAUNCHES = 20
"""Of a forward call."""
ELEMENTS = 1 << 26
"""256 MiB of float32: five times an H200's L2."""
PROCESSORS = 132
FMA = "fma.rn.f32 r{to}, r{to}, 0f3F800347, 0f3F000000;"
ACCUMULATORS = 8
"""So many independent chains hide the latency of each: only fetching is left."""
STRAIGHT_LINE = 16_000
"""Instructions of 16 bytes in a row, 256 kB: no instruction cache near a multiprocessor holds them."""
BANKS = 32


@triton.jit
def copy_kernel(source, target, BLOCK: tl.constexpr):
    """Device memory: reads and writes each number once."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + at, tl.load(source + at) + 1.0)


@triton.jit
def arithmetic_kernel(source, target, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """Arithmetic: thousands of products for each number."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(source + at)
    for _ in range(ROUNDS):
        value = value * 1.000001 + 0.5
    tl.store(target + at, value)


@triton.jit
def bank_kernel(source, target, STRIDE: tl.constexpr, ROUNDS: tl.constexpr, SIZE: tl.constexpr):
    """Shared memory: each gather reads words that lie in one bank, 32 apart."""
    at = tl.arange(0, SIZE)
    value = tl.load(source + at)
    places = (at * STRIDE) % SIZE + (at * STRIDE) // SIZE
    for _ in range(ROUNDS):
        value = tl.gather(value, places, 0) + 1.0
    tl.store(target + tl.program_id(0) * SIZE + at, value)


@triton.jit
def barrier_kernel(source, target, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """Barriers: all warps of a block meet after each addition."""
    at = tl.arange(0, BLOCK)
    value = tl.load(source + at)
    for _ in range(ROUNDS):
        tl.debug_barrier()
        value = value + 1.0
    tl.store(target + tl.program_id(0) * BLOCK + at, value)


@triton.jit
def fetch_kernel(source, target, PROGRAM: tl.constexpr, BLOCK: tl.constexpr):
    """Instruction fetch: a straight line longer than the caches."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(source + at)
    value = tl.inline_asm_elementwise(PROGRAM, "=f,f", [value], dtype=tl.float32, is_pure=True, pack=1)
    tl.store(target + at, value)


def straight_line() -> str:
    """PTX: independent chains of products, one instruction after the other."""
    registers = ", ".join(f"r{number}" for number in range(ACCUMULATORS))
    # Chains that begin alike would be one to the assembler.
    begin = " ".join(f"add.f32 r{number}, $1, 0f3F80000{number};" for number in range(ACCUMULATORS))
    body = " ".join(FMA.format(to=number % ACCUMULATORS) for number in range(STRAIGHT_LINE))
    end = " ".join(f"add.f32 r0, r0, r{number};" for number in range(1, ACCUMULATORS))
    return f"{{ .reg .f32 {registers}; {begin} {body} {end} mov.f32 $0, r0; }}"


class Planted(nn.Module):
    """Launches one kernel a few times in each call."""

    def __init__(self, launch: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.source = nn.Parameter(torch.rand(ELEMENTS, device="cuda"), requires_grad=False)
        self.target = nn.Parameter(torch.empty(ELEMENTS, device="cuda"), requires_grad=False)
        self._launch = launch

    def forward(self, input_ids: Tensor) -> Tensor:
        """input_ids: [1, T], looked at by nobody."""
        for _ in range(LAUNCHES):
            self._launch(self.source, self.target)
        return input_ids


def planted() -> dict[str, tuple[str, Callable[[Tensor, Tensor], Any]]]:
    """By what holds a kernel up: the groups that say so, separated by `|`, and how it is launched."""
    block, small = 1024, 512
    program = straight_line()
    return {
        "device memory": (
            "device memory",
            lambda a, b: copy_kernel[(ELEMENTS // block,)](a, b, block),
        ),
        "arithmetic": (
            "arithmetic|issuing",
            lambda a, b: arithmetic_kernel[(PROCESSORS * 64,)](a, b, 4000, block),
        ),
        "shared-memory bank conflicts": (
            "shared memory",
            lambda a, b: bank_kernel[(PROCESSORS * 16,)](a, b, BANKS, 500, 2048),
        ),
        "barriers": (
            "barriers",
            lambda a, b: barrier_kernel[(PROCESSORS * 16,)](a, b, 4000, small, num_warps=16),
        ),
        "instruction cache": (
            "instruction fetch",
            lambda a, b: fetch_kernel[(PROCESSORS * 16,)](a, b, program, 32, num_warps=1),
        ),
    }
