"""Matrix products: 2 floating-point operations a multiply-add, as torch's FlopCounterMode counts them.

The bias or matrix that `addmm` and its like add isn't counted (one operation in 2 · K), but it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work, amount
from llmflame.probes.work.inputs import Inputs
from llmflame.probes.work.promotion import broadcast
from llmflame.probes.work.tensor import ITEM_BYTES, Tensor


def product(left: Tensor, right: Tensor) -> tuple[int, int]:
    """Operations and elements of [..., N, K] @ [..., K, M], by torch.matmul's rules for fewer dimensions."""
    rows = left.sizes if len(left.sizes) > 1 else (1, *left.sizes)
    columns = right.sizes if len(right.sizes) > 1 else (*right.sizes, 1)
    if not left.sizes or not right.sizes or rows[-1] != columns[-2]:
        raise UnknownWorkError
    elements = prod(broadcast([rows[:-2], columns[:-2]])) * rows[-2] * columns[-1]
    return 2 * elements * rows[-1], elements


def _matmul(inputs: Inputs, *, dimensions: int | None = None, result: str | None = None) -> Work:
    """`[N, K] @ [K, M]`, with a batch dimension before both, or any that fit; third the type or the out."""
    left, right = inputs.tensor(0), inputs.tensor(1)
    if dimensions is not None and (len(left.sizes), len(right.sizes)) != (dimensions, dimensions):
        raise UnknownWorkError
    flops, elements = product(left, right)
    out = inputs.out(2)
    # The only number behind two matrices is the type of the result.
    dtype = out.dtype if out is not None else result or inputs.dtype(2) or left.dtype
    return amount(flops, (left, right), elements * ITEM_BYTES[dtype])


def _vectors(inputs: Inputs, *, dimensions: int) -> Work:
    """A matrix ([N, K]) or vector ([K]) times a vector."""
    left, right = inputs.tensor(0), inputs.tensor(1)
    if (len(left.sizes), len(right.sizes)) != (dimensions, 1):
        raise UnknownWorkError
    flops, elements = product(left, right)
    return amount(flops, (left, right), elements * left.item_bytes)


def _added(inputs: Inputs) -> Work:
    """`beta · self + left @ right`; with beta 0 torch doesn't read self."""
    own, left, right = inputs.tensor(0), inputs.tensor(1), inputs.tensor(2)
    flops, elements = product(left, right)
    numbers = [at for at in (3, 4) if isinstance(inputs.at(at), int | float)]
    ignored = len(numbers) == 2 and inputs.at(3) == 0
    reads = (left, right) if ignored else (own, left, right)
    return amount(flops, reads, elements * own.item_bytes)


def _linear(inputs: Inputs) -> Work:
    """[..., K] with a weight of [M, K] and a bias of [M]; a weight that is packed otherwise is unknown."""
    given, weight, bias = inputs.tensor(0), inputs.tensor(1), inputs.optional(2)
    if len(weight.sizes) != 2 or not given.sizes or given.sizes[-1] != weight.sizes[1]:
        raise UnknownWorkError
    elements = prod(given.sizes[:-1]) * weight.sizes[0]
    reads = (given, weight) if bias is None else (given, weight, bias)
    return amount(2 * elements * weight.sizes[1], reads, elements * given.item_bytes)


def _scaled(inputs: Inputs) -> Work:
    """`_scaled_mm`: float8 matrices with their scales; a bias and the result's type follow."""
    left, right = inputs.tensor(0), inputs.tensor(1)
    if (len(left.sizes), len(right.sizes)) != (2, 2):
        raise UnknownWorkError
    flops, elements = product(left, right)
    reads = [left, right, *(read for at in range(2, 6) if (read := inputs.optional(at)) is not None)]
    out = inputs.out(6)
    dtype = out.dtype if out is not None else inputs.dtype(6) or left.dtype
    return amount(flops, reads, elements * ITEM_BYTES[dtype])


def _grouped(inputs: Inputs) -> Work:
    """`_grouped_mm`, the experts' product: rows [N, K], sorted by expert, with weights [E, K, M].

    Which expert has how many rows is in the values of `offs`, which aren't recorded. Every row counts for
    one expert, and as many experts are read as there are, or as there are rows if these are fewer. So with
    rows of several tokens that share experts, the bytes are the most that it may read.
    """
    left, right, rows_end, bias = inputs.tensor(0), inputs.tensor(1), inputs.optional(2), inputs.optional(3)
    if len(right.sizes) != 3 or len(left.sizes) not in (2, 3) or left.sizes[-1] != right.sizes[1]:
        raise UnknownWorkError
    if len(left.sizes) == 3 and left.sizes[0] != right.sizes[0]:
        raise UnknownWorkError
    experts = right.sizes[0]
    rows = prod(left.sizes[:-1])
    read = right.bytes * min(rows, experts) // max(1, experts)
    reads: list[Tensor | tuple[Tensor, int]] = [left, (right, read)]
    reads += [tensor for tensor in (rows_end, bias) if tensor is not None]
    elements = rows * right.sizes[2]
    return amount(2 * elements * left.sizes[-1], reads, elements * ITEM_BYTES[inputs.dtype(4) or left.dtype])


MATMUL: Mapping[str, Callable[[Inputs], Work]] = MappingProxyType(
    {
        "mm": partial(_matmul, dimensions=2),
        "_int_mm": partial(_matmul, dimensions=2, result="int32"),
        "bmm": partial(_matmul, dimensions=3),
        "matmul": _matmul,
        "mv": partial(_vectors, dimensions=2),
        "dot": partial(_vectors, dimensions=1),
        "vdot": partial(_vectors, dimensions=1),
        "addmm": _added,
        "_addmm_activation": _added,
        "baddbmm": _added,
        "addmv": _added,
        "linear": _linear,
        "_scaled_mm": _scaled,
        "_grouped_mm": _grouped,
    }
)
