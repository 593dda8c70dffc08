"""What stands at a step's ends: a token's embedding, and the most probable token."""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def embed(token, table, out, position, WIDTH: tl.constexpr, BLOCK: tl.constexpr, AHEAD: tl.constexpr):
    """out = table[token]; position counts the column that the token will have.

    A step's first kernel waits for all before it, as any does that is launched without more.
    """
    if AHEAD:
        gdc_launch_dependents()
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.load(token)
    tl.store(out + e, tl.load(table + row * WIDTH + e, mask=e < WIDTH, other=0.0), mask=e < WIDTH)
    if tl.program_id(0) == 0:
        tl.store(position, tl.load(position) + 1)


@triton.jit
def best_of_parts(logits, peaks, places, size, PART: tl.constexpr, AHEAD: tl.constexpr):
    """The largest logit of each PART, and where it is; the first of equals."""
    if AHEAD:
        gdc_launch_dependents()
        gdc_wait()
    part = tl.program_id(0)
    n = part * PART + tl.arange(0, PART)
    value = tl.load(logits + n, mask=n < size, other=float("-inf")).to(tl.float32)
    peak = tl.max(value, axis=0)
    tl.store(peaks + part, peak)
    tl.store(places + part, tl.min(tl.where(value == peak, n, size), axis=0))


@triton.jit
def best(peaks, places, chosen, parts, PADDED: tl.constexpr, AHEAD: tl.constexpr):
    """The place of the largest of them all."""
    if AHEAD:
        gdc_wait()
    n = tl.arange(0, PADDED)
    value = tl.load(peaks + n, mask=n < parts, other=float("-inf"))
    place = tl.load(places + n, mask=n < parts, other=2**31 - 1)
    found = tl.min(tl.where(value == tl.max(value, axis=0), place, 2**31 - 1), axis=0)
    tl.store(chosen, found.to(tl.int64))
