"""What moves bytes and computes nothing: copies, joins, gathers, fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil, isfinite, prod
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work, amount
from llmflame.probes.work.inputs import Inputs
from llmflame.probes.work.promotion import DEFAULT_FLOAT, is_floating, result_dtype
from llmflame.probes.work.tensor import ITEM_BYTES, Tensor


def _copy(inputs: Inputs) -> Work:
    """`copy_(self, source)`: self is only written."""
    return amount(0, [inputs.tensor(1)], inputs.tensor(0).bytes)


def _to_copy(inputs: Inputs) -> Work:
    """`_to_copy(self, dtype)`: all of self, in another type or on another device."""
    own = inputs.tensor(0)
    return amount(0, [own], own.numel * ITEM_BYTES[inputs.dtype(1) or own.dtype])


def _join(inputs: Inputs) -> Work:
    """`cat` and `stack`: every part is read and written once."""
    parts, out = inputs.tensors(0), inputs.out(1)
    dtype = out.dtype if out is not None else result_dtype(parts)
    return amount(0, parts, sum(part.numel for part in parts) * ITEM_BYTES[dtype])


def _rows(inputs: Inputs, table: int, index: int, dim: int) -> Work:
    """Slices of a table, as many as there are indices: more than it has aren't read twice."""
    own, chosen = inputs.tensor(table), inputs.tensor(index)
    if not own.sizes or not -len(own.sizes) <= dim < len(own.sizes):
        raise UnknownWorkError
    slice_elements = own.numel // max(1, own.sizes[dim])
    moved = chosen.numel * slice_elements * own.item_bytes
    return amount(0, [(own, min(own.bytes, moved)), chosen], moved)


def _embedding(inputs: Inputs) -> Work:
    """`embedding(weight, indices)`: of the weight [V, D] only the rows that are asked for."""
    return _rows(inputs, 0, 1, 0)


def _index_select(inputs: Inputs) -> Work:
    """`index_select(self, dim, index)`."""
    return _rows(inputs, 0, 2, inputs.integer(1))


def _gather(inputs: Inputs) -> Work:
    """`gather(self, dim, index)`: one element for each index."""
    own, index = inputs.tensor(0), inputs.tensor(2)
    moved = index.numel * own.item_bytes
    return amount(0, [(own, min(own.bytes, moved)), index], moved)


def _scatter(inputs: Inputs, *, adds: bool = False) -> Work:
    """`scatter(self, dim, index, source)`: out of place all of self is copied; adding reads too."""
    own, index, source = inputs.tensor(0), inputs.tensor(2), inputs.optional(3)
    return _scattered(inputs, own, index.numel, [index], source, adds=adds)


def _index_rows(inputs: Inputs, *, adds: bool = False) -> Work:
    """`index_copy(self, dim, index, source)` and `index_add`: whole slices of self."""
    own, index, source = inputs.tensor(0), inputs.tensor(2), inputs.tensor(3)
    return _scattered(inputs, own, source.numel, [index], source, adds=adds)


def _scattered(
    inputs: Inputs, own: Tensor, count: int, reads: list[Tensor], source: Tensor | None, *, adds: bool
) -> Work:
    placed = min(own.bytes, count * own.item_bytes)
    all_reads: list[Tensor | tuple[Tensor, int]] = [*reads]
    if source is not None:
        all_reads.append((source, min(source.bytes, count * source.item_bytes)))
    if not inputs.in_place:
        all_reads.append(own)
    elif adds:
        all_reads.append((own, placed))
    written = placed if inputs.in_place else own.numel * own.item_bytes
    return amount(count if adds and is_floating(own.dtype) else 0, all_reads, written)


def _fill(inputs: Inputs) -> Work:
    """`fill_(self, value)`, `zero_`, and random numbers in place."""
    others = [tensor for at in range(1, len(inputs)) if (tensor := inputs.optional(at)) is not None]
    return amount(0, others, inputs.tensor(0).bytes)


def _whole(inputs: Inputs) -> Work:
    """As much written as read: `tril`, `flip` ..."""
    own = inputs.tensor(0)
    return amount(0, [own], own.bytes if inputs.in_place else own.numel * own.item_bytes)


def _arange(inputs: Inputs) -> Work:
    """`arange(end)`, `arange(start, end)`, `arange(start, end, step)`, each with four more or with an out."""
    out = inputs.out(1)
    bounds = len(inputs) - (1 if out is not None else 4)
    numbers = [inputs.at(at) for at in range(max(0, bounds))]
    given = [number for number in numbers if isinstance(number, int | float)]
    if len(given) != len(numbers) or not 1 <= len(given) <= 3 or not all(isfinite(n) for n in given):
        raise UnknownWorkError
    start, end = (0, given[0]) if len(given) == 1 else (given[0], given[1])
    step = given[2] if len(given) == 3 else 1
    if not step:
        raise UnknownWorkError
    try:
        count = max(0, ceil((end - start) / step))
    except OverflowError as error:
        raise UnknownWorkError from error
    default = DEFAULT_FLOAT if any(isinstance(number, float) for number in given) else "int64"
    dtype = out.dtype if out is not None else inputs.dtype(bounds) or default
    return amount(0, [], count * ITEM_BYTES[dtype])


def _linspace(inputs: Inputs) -> Work:
    """`linspace(start, end, steps)`."""
    steps, out = inputs.integer(2), inputs.out(3)
    dtype = out.dtype if out is not None else inputs.dtype(3) or DEFAULT_FLOAT
    return amount(0, [], max(0, steps) * ITEM_BYTES[dtype])


def _scalar_tensor(inputs: Inputs) -> Work:
    """`scalar_tensor(value, dtype)`: one element."""
    if not isinstance(inputs.at(0), int | float):
        raise UnknownWorkError
    return amount(0, [], ITEM_BYTES[inputs.dtype(1) or DEFAULT_FLOAT])


def _looked_at(inputs: Inputs) -> Work:
    """Read for a decision on the host: `item`, an assertion, `equal`; no tensor is written."""
    others = inputs.optional(1)
    return amount(0, [inputs.tensor(0)] if others is None else [inputs.tensor(0), others], 0)


def _isin(inputs: Inputs) -> Work:
    """`isin(elements, candidates)`: a truth value for each element; either may be a number."""
    tensors = [tensor for at in (0, 1) if (tensor := inputs.optional(at)) is not None]
    if not tensors:
        raise UnknownWorkError
    own = inputs.optional(0)
    return amount(0, tensors, prod(own.sizes) if own is not None else 1)


_FILLS = "fill_ zero_ normal_ uniform_ exponential_ random_ bernoulli_ cauchy_ geometric_ log_normal_"
MOVEMENT: Mapping[str, Callable[[Inputs], Work]] = MappingProxyType(
    {
        **dict.fromkeys(_FILLS.split(), _fill),
        **dict.fromkeys(("tril", "triu", "flip", "roll"), _whole),
        **dict.fromkeys(("cat", "concat", "stack"), _join),
        **dict.fromkeys(("_local_scalar_dense", "_assert_async", "equal"), _looked_at),
        "copy_": _copy,
        "_to_copy": _to_copy,
        "embedding": _embedding,
        "index_select": _index_select,
        "gather": _gather,
        "scatter": _scatter,
        "scatter_add": partial(_scatter, adds=True),
        "index_copy": _index_rows,
        "index_add": partial(_index_rows, adds=True),
        "arange": _arange,
        "linspace": _linspace,
        "scalar_tensor": _scalar_tensor,
        "isin": _isin,
    }
)
