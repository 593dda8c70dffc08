"""One new token of one sequence looks at its past: norms of heads, rotation, cache and softmax in a kernel.

Softmax block by block with a running maximum: Milakov and Gimelshein 2018 (arXiv 1805.02867); columns split
among programs and their parts joined afterwards: flash-decoding, Dao et al. 2023.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def _turned(first, second, weight, cosine, sine, epsilon, NORM: tl.constexpr, HALF: tl.constexpr):
    """Rows of heads [N, HALF] each: normalised as Qwen3 does, if at all, then turned (`scratch/rope.py`)."""
    if NORM:
        d = tl.arange(0, HALF)
        mean = (tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)) / (2 * HALF)
        factor = tl.rsqrt(mean + epsilon)[:, None]
        first = first * factor * tl.load(weight + d).to(tl.float32)[None, :]
        second = second * factor * tl.load(weight + HALF + d).to(tl.float32)[None, :]
    return first * cosine - second * sine, second * cosine + first * sine


@triton.jit
def _over_past(  # noqa: PLR0913
    q1, q2, keys, values, low, high, scale, peak, total, mixed,
    DIM: tl.constexpr, HALF: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Columns low to high - 1 of a head's cache added to a softmax that has begun."""
    d, e = tl.arange(0, HALF), tl.arange(0, DIM)
    for first in range(low, high, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        inside = column < high
        place = column[:, None] * DIM
        p1 = tl.load(keys + place + d[None, :], mask=inside[:, None], other=0.0).to(tl.float32)
        p2 = tl.load(keys + place + HALF + d[None, :], mask=inside[:, None], other=0.0).to(tl.float32)
        past = tl.load(values + place + e[None, :], mask=inside[:, None], other=0.0).to(tl.float32)
        scores = tl.sum(q1[:, None, :] * p1[None, :, :], axis=2)
        scores = (scores + tl.sum(q2[:, None, :] * p2[None, :, :], axis=2)) * scale
        scores = tl.where(inside[None, :], scores, float("-inf"))
        higher = tl.maximum(peak, tl.max(scores, axis=1))
        faded = tl.exp(peak - higher)
        weights = tl.exp(scores - higher[:, None])
        total = total * faded + tl.sum(weights, axis=1)
        mixed = mixed * faded[:, None] + tl.sum(weights[:, :, None] * past[None, :, :], axis=1)
        peak = higher
    return peak, total, mixed


@triton.jit
def attend(  # noqa: PLR0913
    qkv, q_norm, k_norm, cosines, sines, position, keys, values, out, peaks, sums,
    capacity, epsilon, scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, HALF: tl.constexpr,
    COLUMNS: tl.constexpr, SPLITS: tl.constexpr, NORM: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """One program: a key head, the query heads that share it, and one of SPLITS parts of the columns.

    qkv: [(HEADS + 2 KV_HEADS) * DIM]; keys, values: [KV_HEADS, capacity, DIM]; cosines, sines: [>= capacity,
    HALF] float32; position: the columns in use, the new one among them. out: [HEADS, DIM]; of several parts
    float32 [SPLITS, HEADS, DIM] with peaks and sums [SPLITS, HEADS].
    """
    head, split = tl.program_id(0), tl.program_id(1)
    if AHEAD:
        gdc_launch_dependents()
        gdc_wait()
    new = tl.load(position) - 1
    d, e, g = tl.arange(0, HALF), tl.arange(0, DIM), tl.arange(0, GROUP)
    shared: tl.constexpr = HEADS // KV_HEADS
    cosine = tl.load(cosines + new * HALF + d)[None, :]
    sine = tl.load(sines + new * HALF + d)[None, :]
    heads = head * shared + g
    kept = g < shared
    row = qkv + heads[:, None] * DIM + d[None, :]
    q1, q2 = _turned(
        tl.load(row, mask=kept[:, None], other=0.0).to(tl.float32),
        tl.load(row + HALF, mask=kept[:, None], other=0.0).to(tl.float32),
        q_norm, cosine, sine, epsilon, NORM, HALF,
    )  # fmt: skip
    one = qkv + (HEADS + head) * DIM + d[None, :]
    k1, k2 = _turned(
        tl.load(one).to(tl.float32), tl.load(one + HALF).to(tl.float32),
        k_norm, cosine, sine, epsilon, NORM, HALF,
    )  # fmt: skip
    v = tl.load(qkv + (HEADS + KV_HEADS + head) * DIM + e)[None, :]
    k1, k2 = k1.to(keys.dtype.element_ty), k2.to(keys.dtype.element_ty)
    begin = head.to(tl.int64) * capacity * DIM
    if split == 0:
        tl.store(keys + begin + new * DIM + d[None, :], k1)
        tl.store(keys + begin + new * DIM + HALF + d[None, :], k2)
        tl.store(values + begin + new * DIM + e[None, :], v)
    # The first part begins with the new column, which the cache may not hold yet.
    score = (tl.sum(q1 * k1.to(tl.float32), axis=1) + tl.sum(q2 * k2.to(tl.float32), axis=1)) * scale
    mine = split == 0
    peak = tl.where(mine, score, float("-inf"))
    total = tl.where(mine, 1.0, 0.0) + tl.zeros((GROUP,), dtype=tl.float32)
    mixed = tl.where(mine, v.to(tl.float32), 0.0) + tl.zeros((GROUP, DIM), dtype=tl.float32)
    share = (new + SPLITS - 1) // SPLITS
    low = split * share
    high = tl.minimum(new, low + share)
    peak, total, mixed = _over_past(
        q1, q2, keys + begin, values + begin, low, high, scale, peak, total, mixed, DIM, HALF, COLUMNS
    )
    if SPLITS == 1:
        mixed = mixed / total[:, None]
    else:
        tl.store(peaks + split * HEADS + heads, peak, mask=kept)
        tl.store(sums + split * HEADS + heads, total, mask=kept)
    place = out + (split * HEADS + heads)[:, None] * DIM + e[None, :]
    tl.store(place, mixed.to(out.dtype.element_ty), mask=kept[:, None])


@triton.jit
def join(  # noqa: PLR0913
    parts, peaks, sums, out,
    HEADS: tl.constexpr, DIM: tl.constexpr, SPLITS: tl.constexpr, PADDED: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """Parts of a softmax, each with its own maximum, to the whole. One program a head."""
    head = tl.program_id(0)
    if AHEAD:
        gdc_launch_dependents()
        gdc_wait()
    s, e = tl.arange(0, PADDED), tl.arange(0, DIM)
    kept = s < SPLITS
    peak = tl.load(peaks + s * HEADS + head, mask=kept, other=float("-inf"))
    factor = tl.exp(peak - tl.max(peak, axis=0))
    total = tl.sum(factor * tl.load(sums + s * HEADS + head, mask=kept, other=0.0), axis=0)
    part = tl.load(parts + (s * HEADS + head)[:, None] * DIM + e[None, :], mask=kept[:, None], other=0.0)
    mixed = tl.sum(part * factor[:, None], axis=0) / total
    tl.store(out + head * DIM + e, mixed.to(out.dtype.element_ty))
