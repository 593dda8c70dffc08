"""y = W x for one vector, with what stands around it in a decoder layer: a norm, SwiGLU, a residual.

A step of one sequence reads every weight once and does two operations with it, so it can be no faster than
memory. What a library's GEMV loses to that are gaps between kernels and starts that are too slow to fill the
memory's queue; here a layer is five kernels, each of which has all its reads in flight at once.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def gemv(  # noqa: PLR0913
    x, norm, weight, scale, bias, residual, out,
    rows, width, epsilon,
    NORM: tl.constexpr, SCALED: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr, GATED: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """out[n] = residual[n] + (sum over k of weight[n, k] * norm[k] * x[k] / rms(x)) * scale[n] + bias[n].

    GATED: weight has 2 * rows; out[n] = silu(gate[n]) * up[n], gate and up being the first and the last half.
    Each program makes ROWS outputs from WIDTH columns at a time, in float32.
    """
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.arange(0, WIDTH)
    kept_rows = n < rows
    begin = weight + n.to(tl.int64)[:, None] * width
    above = weight + (n + rows).to(tl.int64)[:, None] * width
    total = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    other = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    squares = tl.zeros((WIDTH,), dtype=tl.float32)
    for first in tl.range(0, width, WIDTH, num_stages=STAGES):
        column = first + k
        inside = column < width
        kept = kept_rows[:, None] & inside[None, :]
        part = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
        if NORM:
            squares += part * part
            part *= tl.load(norm + column, mask=inside, other=0.0).to(tl.float32)
        block = tl.load(begin + column[None, :], mask=kept, other=0.0, eviction_policy="evict_first")
        total += block.to(tl.float32) * part[None, :]
        if GATED:
            up = tl.load(
                above + column[None, :], mask=kept, other=0.0, eviction_policy="evict_first"
            )  # fmt: skip
            other += up.to(tl.float32) * part[None, :]
    y = tl.sum(total, axis=1)
    u = tl.sum(other, axis=1)
    if NORM:
        # The norm's factor is one number for the whole vector: it may as well come after the product.
        factor = tl.rsqrt(tl.sum(squares, axis=0) / width + epsilon)
        y *= factor
        u *= factor
    if SCALED:
        y *= tl.load(scale + n, mask=kept_rows, other=0.0).to(tl.float32)
        if GATED:
            u *= tl.load(scale + rows + n, mask=kept_rows, other=0.0).to(tl.float32)
    if BIAS:
        y += tl.load(bias + n, mask=kept_rows, other=0.0).to(tl.float32)
        if GATED:
            u += tl.load(bias + rows + n, mask=kept_rows, other=0.0).to(tl.float32)
    if GATED:
        y = y / (1 + tl.exp(-y)) * u
    if RESIDUAL:
        y += tl.load(residual + n, mask=kept_rows, other=0.0).to(tl.float32)
    tl.store(out + n, y.to(out.dtype.element_ty), mask=kept_rows)


@triton.jit
def gemv4(  # noqa: PLR0913
    x, norm, weight, scale, offset, bias, residual, out,
    rows, width, epsilon,
    NORM: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr, GATED: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, STAGES: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """`gemv` with weights of 4 bits: weight [N, width / 2] uint8, scale and offset [N, width / GROUP].

    A byte holds two columns of a group, half a group apart (`modules/int4.py`); WIDTH bytes at a time.
    """
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    kept_rows = n < rows
    half: tl.constexpr = GROUP // 2
    total = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    other = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    squares = tl.zeros((WIDTH,), dtype=tl.float32)
    for first in tl.range(0, width // 2, WIDTH, num_stages=STAGES):
        byte = first + tl.arange(0, WIDTH)
        column = byte // half * GROUP + byte % half
        inside = byte < width // 2
        kept = kept_rows[:, None] & inside[None, :]
        near = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
        far = tl.load(x + column + half, mask=inside, other=0.0).to(tl.float32)
        if NORM:
            squares += near * near + far * far
            near *= tl.load(norm + column, mask=inside, other=0.0).to(tl.float32)
            far *= tl.load(norm + column + half, mask=inside, other=0.0).to(tl.float32)
        total += _both(weight, scale, offset, n, byte, near, far, width, kept, GROUP)
        if GATED:
            other += _both(weight, scale, offset, n + rows, byte, near, far, width, kept, GROUP)
    y = tl.sum(total, axis=1)
    u = tl.sum(other, axis=1)
    if NORM:
        factor = tl.rsqrt(tl.sum(squares, axis=0) / width + epsilon)
        y *= factor
        u *= factor
    if BIAS:
        y += tl.load(bias + n, mask=kept_rows, other=0.0).to(tl.float32)
        if GATED:
            u += tl.load(bias + rows + n, mask=kept_rows, other=0.0).to(tl.float32)
    if GATED:
        y = y / (1 + tl.exp(-y)) * u
    if RESIDUAL:
        y += tl.load(residual + n, mask=kept_rows, other=0.0).to(tl.float32)
    tl.store(out + n, y.to(out.dtype.element_ty), mask=kept_rows)


@triton.jit
def _both(  # noqa: PLR0913
    weight, scale, offset, n, byte, near, far, width, kept, GROUP: tl.constexpr
):
    """The products of both halves of a block of bytes, [ROWS, WIDTH]."""
    row = n.to(tl.int64)[:, None]
    block = tl.load(
        weight + row * (width // 2) + byte[None, :], mask=kept, other=0, eviction_policy="evict_first"
    )
    place = row * (width // GROUP) + (byte // (GROUP // 2))[None, :]
    factor = tl.load(scale + place, mask=kept, other=0.0).to(tl.float32)
    shift = tl.load(offset + place, mask=kept, other=0.0).to(tl.float32)
    low, high = (block & 0xF).to(tl.float32), (block >> 4).to(tl.float32)
    levels = low * near[None, :] + high * far[None, :]
    return levels * factor + shift * (near + far)[None, :]
