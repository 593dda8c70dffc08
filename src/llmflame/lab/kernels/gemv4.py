"""`gemv` with weights of 4 bits, eight to a word (`modules/int4.py`)."""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from llmflame.lab.kernels.gemv import columns, finish

# A word's levels, and the words of a group.
LEVELS, GROUP_WORDS = tl.constexpr(8), tl.constexpr(8)
# Bits 19 to 22 of a float32 between 16 and 32 are its whole part above 16: a level moved there needs no
# conversion from integers, which takes as long as two other instructions.
PLACE, MASK, SIXTEEN = tl.constexpr(19), tl.constexpr(0x780000), tl.constexpr(0x41800000)
AND_OR = tl.constexpr("lop3.b32 $0, $1, $2, $3, 0xEA;")


@triton.jit
def gemv4(  # noqa: PLR0913
    x, norm, weight, scale, offset, bias, residual, out,
    rows, words, epsilon,
    NORM: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr, GATED: tl.constexpr, AHEAD: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """`gemv`, with weight [N, words] int32, scale and offset [N, words / 8]; WIDTH words at a time.

    Neighbouring words have neighbouring columns at each level: what a thread needs of x is contiguous, too.
    """
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    above = weight + rows.to(tl.int64) * words
    groups = words // GROUP_WORDS
    above_scale, above_offset = scale + rows.to(tl.int64) * groups, offset + rows.to(tl.int64) * groups
    if AHEAD:
        gdc_launch_dependents()
    block, factor, shift = _fetched(weight, scale, offset, n, rows, words, 0, WIDTH)
    up, up_factor, up_shift = block, factor, shift
    if GATED:
        up, up_factor, up_shift = _fetched(above, above_scale, above_offset, n, rows, words, 0, WIDTH)
    if AHEAD:
        gdc_wait()
    total = tl.zeros((ROWS, WIDTH // GROUP_WORDS), dtype=tl.float32)
    other = total
    squares = tl.zeros((WIDTH,), dtype=tl.float32)
    for first in tl.range(0, words, WIDTH, num_stages=STAGES):
        word = first + tl.arange(0, WIDTH)
        sums = tl.zeros((WIDTH,), dtype=tl.float32)
        product = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
        up_product = product
        for s in tl.static_range(LEVELS):
            column = word // GROUP_WORDS * GROUP_WORDS * LEVELS + s * GROUP_WORDS + word % GROUP_WORDS
            part, square = columns(x, norm, column, word < words, NORM)
            squares += square
            sums += part
            product += _sixteen_and_level(block, s) * part[None, :]
            if GATED:
                up_product += _sixteen_and_level(up, s) * part[None, :]
        whole = tl.sum(tl.reshape(sums, (WIDTH // GROUP_WORDS, GROUP_WORDS)), axis=1)
        total += _scaled(product, whole, factor, shift, ROWS, WIDTH)
        if GATED:
            other += _scaled(up_product, whole, up_factor, up_shift, ROWS, WIDTH)
        following = first + WIDTH
        block, factor, shift = _fetched(weight, scale, offset, n, rows, words, following, WIDTH)
        if GATED:
            up, up_factor, up_shift = _fetched(
                above, above_scale, above_offset, n, rows, words, following, WIDTH
            )
    y = tl.sum(total, axis=1)
    u = tl.sum(other, axis=1) if GATED else y
    finish(
        y, u, squares, n, rows, words * LEVELS, epsilon, scale, bias, residual, out,
        NORM, False, BIAS, RESIDUAL, GATED,
    )  # fmt: skip


@triton.jit
def _fetched(weight, scale, offset, n, rows, words, first, WIDTH: tl.constexpr):
    """Words [ROWS, WIDTH] from `first` on, and their groups' factors and offsets [ROWS, WIDTH / 8]."""
    row = n.to(tl.int64)[:, None]
    groups = words // GROUP_WORDS
    word = first + tl.arange(0, WIDTH)
    group = first // GROUP_WORDS + tl.arange(0, WIDTH // GROUP_WORDS)
    kept = (n < rows)[:, None] & (word < words)[None, :]
    block = tl.load(
        weight + row * words + word[None, :], mask=kept, other=0, eviction_policy="evict_first"
    )  # fmt: skip
    kept = (n < rows)[:, None] & (group < groups)[None, :]
    place = row * groups + group[None, :]
    factor = tl.load(scale + place, mask=kept, other=0.0)
    return block, factor, tl.load(offset + place, mask=kept, other=0.0)


@triton.jit
def _sixteen_and_level(words, s: tl.constexpr):
    """16 + level s of each word, float32."""
    place: tl.constexpr = PLACE - 4 * s
    moved = words << place if place >= 0 else words >> -place
    bits = tl.inline_asm_elementwise(
        AND_OR, "=r,r,r,r", [moved, MASK, SIXTEEN], dtype=tl.int32, is_pure=True, pack=1
    )
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _scaled(product, whole, factor, shift, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Sums over groups, [ROWS, WIDTH / 8], of (level * factor + shift) * x; product has levels plus 16."""
    levels = tl.sum(tl.reshape(product, (ROWS, WIDTH // GROUP_WORDS, GROUP_WORDS)), axis=2)
    factor, shift = factor.to(tl.float32), shift.to(tl.float32)
    return levels * factor + (shift - 16 * factor) * whole[None, :]
