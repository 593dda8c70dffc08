"""y = W x for one vector, with what stands around it in a decoder layer: a norm, SwiGLU, a residual.

A step of one sequence reads every weight once and does two operations with it, so it can be no faster than
memory. What a library's GEMV loses to that are gaps between kernels and starts that are too slow to fill the
memory's queue; here a layer is five kernels, each of which has all its reads in flight at once. Where the
device can launch a kernel before the one in front of it has ended (AHEAD: programmatic dependent launch, CUDA
programming guide), the first weights are fetched before x is there.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

# A load of 16 bytes a thread is the widest that there is.
LOAD_BYTES = tl.constexpr(16)


@triton.jit
def gemv(  # noqa: PLR0913
    x, norm, weight, scale, bias, residual, out,
    rows, width, epsilon,
    NORM: tl.constexpr, SCALED: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr, GATED: tl.constexpr,
    AHEAD: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """out[n] = residual[n] + (sum over k of weight[n, k] * norm[k] * x[k] / rms(x)) * scale[n] + bias[n].

    GATED: weight has 2 * rows; out[n] = silu(gate[n]) * up[n], gate and up being the first and the last half.
    Each program makes ROWS outputs from WIDTH columns at a time, in float32.
    """
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.arange(0, WIDTH)
    above = weight + rows.to(tl.int64) * width
    if AHEAD:
        gdc_launch_dependents()
    block = _block(weight, n, rows, k, width)
    up = _block(above, n, rows, k, width) if GATED else block
    if AHEAD:
        gdc_wait()
    part, squares = columns(x, norm, k, k < width, NORM)
    total = _products(block, part, ROWS, WIDTH)
    other = _products(up, part, ROWS, WIDTH) if GATED else total
    for first in tl.range(WIDTH, width, WIDTH, num_stages=STAGES):
        column = first + k
        block = _block(weight, n, rows, column, width)
        part, square = columns(x, norm, column, column < width, NORM)
        squares += square
        total += _products(block, part, ROWS, WIDTH)
        if GATED:
            up = _block(above, n, rows, column, width)
            other += _products(up, part, ROWS, WIDTH)
    y = tl.sum(total, axis=1)
    u = tl.sum(other, axis=1) if GATED else y
    finish(
        y, u, squares, n, rows, width, epsilon, scale, bias, residual, out,
        NORM, SCALED, BIAS, RESIDUAL, GATED,
    )  # fmt: skip


@triton.jit
def columns(x, norm, column, inside, NORM: tl.constexpr):
    """x[column] in float32, multiplied by the norm's weight if there is one; and the squares of x."""
    part = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
    squares = part * part
    if NORM:
        part *= tl.load(norm + column, mask=inside, other=0.0).to(tl.float32)
    return part, squares


@triton.jit
def finish(  # noqa: PLR0913
    y, u, squares, n, rows, width, epsilon, scale, bias, residual, out,
    NORM: tl.constexpr, SCALED: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr, GATED: tl.constexpr,
):  # fmt: skip
    """Write rows n of out: products y, and of `up` u, with all that comes after a product."""
    kept = n < rows
    if NORM:
        # The norm's factor is one number for the whole vector: it may as well come after the product.
        factor = tl.rsqrt(tl.sum(squares, axis=0) / width + epsilon)
        y *= factor
        u *= factor
    if SCALED:
        y *= tl.load(scale + n, mask=kept, other=0.0).to(tl.float32)
        if GATED:
            u *= tl.load(scale + rows + n, mask=kept, other=0.0).to(tl.float32)
    if BIAS:
        y += tl.load(bias + n, mask=kept, other=0.0).to(tl.float32)
        if GATED:
            u += tl.load(bias + rows + n, mask=kept, other=0.0).to(tl.float32)
    if GATED:
        y = y / (1 + tl.exp(-y)) * u
    if RESIDUAL:
        y += tl.load(residual + n, mask=kept, other=0.0).to(tl.float32)
    tl.store(out + n, y.to(out.dtype.element_ty), mask=kept)


@triton.jit
def _block(weight, n, rows, column, width):
    """weight[n, column], [ROWS, WIDTH]; nothing is read twice, so nothing need stay in a cache."""
    kept = (n < rows)[:, None] & (column < width)[None, :]
    place = weight + n.to(tl.int64)[:, None] * width + column[None, :]
    return tl.load(place, mask=kept, other=0.0, eviction_policy="evict_first")


@triton.jit
def _products(block, part, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Sums of block * part over what one thread has loaded, [ROWS, WIDTH / V]."""
    V: tl.constexpr = LOAD_BYTES * 8 // block.dtype.primitive_bitwidth
    return tl.sum(tl.reshape(block.to(tl.float32) * part[None, :], (ROWS, WIDTH // V, V)), axis=2)
