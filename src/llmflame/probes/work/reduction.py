"""Reductions along dimensions, scans, sorting and sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work, amount
from llmflame.probes.work.elementwise import ELEMENTWISE
from llmflame.probes.work.inputs import Inputs
from llmflame.probes.work.promotion import as_float, as_sum, is_floating
from llmflame.probes.work.tensor import ITEM_BYTES, Tensor

INDEX_BYTES = ITEM_BYTES["int64"]
"""Positions that a reduction or a sort returns are int64."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """How an operator reduces, and where its schema has what."""

    flops: int = 0
    """Operations for each element read, where they are floating-point: comparing is none."""
    result: str = "same"
    """"same", "sum" (integers in 64 bits), "float" (integers become so), or a type."""
    whole: int = 0
    """The most inputs that a call over all dimensions has, where that has a schema of its own."""
    dim: int = 1
    """Position of the dimension, or of the list of them."""
    one_dim: bool = False
    """The dimension is one number, and None means all."""
    dtype_whole: int | None = None
    dtype: int | None = None
    """Positions of the result's type, for all dimensions and for some."""
    values: int = 1
    """How many results of this type there are."""
    indices: bool = False
    """Whether the positions of the results are returned too."""


REDUCTIONS: Mapping[str, Reduction] = MappingProxyType(
    {
        "sum": Reduction(flops=1, result="sum", whole=2, dtype_whole=1, dtype=3),
        "nansum": Reduction(flops=1, result="sum", dtype=3),
        "mean": Reduction(flops=1, result="same", whole=2, dtype_whole=1, dtype=3),
        "prod": Reduction(flops=1, result="sum", whole=2, one_dim=True, dtype_whole=1, dtype=3),
        "any": Reduction(result="bool", whole=1),
        "all": Reduction(result="bool", whole=1),
        "amax": Reduction(),
        "amin": Reduction(),
        "max": Reduction(whole=1, one_dim=True, indices=True),
        "min": Reduction(whole=1, one_dim=True, indices=True),
        "argmax": Reduction(result="int64", whole=1, one_dim=True),
        "argmin": Reduction(result="int64", whole=1, one_dim=True),
        "aminmax": Reduction(whole=1, one_dim=True, values=2),
        "logsumexp": Reduction(flops=4, result="float"),
        "linalg_vector_norm": Reduction(flops=2, result="float", dim=2, dtype=4),
        "norm": Reduction(flops=2, result="float", whole=2, dim=2, dtype=4),
        "var": Reduction(flops=4, whole=2),
        "std": Reduction(flops=4, whole=2),
        "var_mean": Reduction(flops=4, whole=2, values=2),
        "std_mean": Reduction(flops=4, whole=2, values=2),
    }
)
"""Operations an element: `logsumexp` maximum, difference, exponential, sum; a norm square and sum; a variance
sum, difference, square, sum."""


def _reduce(spec: Reduction, name: str, inputs: Inputs) -> Work:
    """Lists of dimensions aren't recorded: where one is None, the reduction is taken along the last.

    That is what a norm, a softmax or a loss does; what is read is exact either way, only the bytes written
    (the smaller part) rest on it. An out variant tells them by its out.
    """
    own = inputs.tensor(0)
    if name in ("max", "min") and inputs.optional(1) is not None and len(inputs) <= 3:
        return ELEMENTWISE[f"{name}imum"](inputs)
    outs = sum(isinstance(argument, Tensor) for argument in inputs.arguments) - 1
    count = len(inputs) - outs
    whole = count <= spec.whole
    dtype = inputs.dtype(at) if (at := spec.dtype_whole if whole else spec.dtype) is not None else None
    out = inputs.out(1)
    if out is not None and not spec.indices:
        dtype = out.dtype
    dtype = dtype or _result(spec.result, own.dtype)
    kept = out.numel if out is not None and out.numel else _kept(spec, inputs, own, whole=whole)
    bytes_each = spec.values * ITEM_BYTES[dtype] + (INDEX_BYTES if spec.indices and not whole else 0)
    return amount(spec.flops * own.numel if is_floating(dtype) else 0, [own], kept * bytes_each)


def _result(result: str, own: str) -> str:
    if result == "same":
        return own
    if result == "sum":
        return as_sum(own)
    return as_float(own) if result == "float" else result


def _kept(spec: Reduction, inputs: Inputs, own: Tensor, *, whole: bool) -> int:
    """Elements of the result."""
    dims = inputs.at(spec.dim)
    if whole or not own.sizes or dims == [] or (dims is None and spec.one_dim):
        return 1
    if isinstance(dims, bool | float | Tensor):
        raise UnknownWorkError
    if isinstance(dims, list):
        chosen = [dim for dim in dims if isinstance(dim, int)]
        if len(chosen) != len(dims):
            raise UnknownWorkError
    else:
        chosen = [-1 if dims is None else dims]
    reduced = {_axis(own, dim) for dim in chosen}
    kept = 1
    for axis, size in enumerate(own.sizes):
        kept *= 1 if axis in reduced else size
    return kept


def _axis(own: Tensor, dim: int) -> int:
    if not -len(own.sizes) <= dim < len(own.sizes):
        raise UnknownWorkError
    return dim % len(own.sizes)


def _scan(inputs: Inputs, *, dtype_at: int | None = 2) -> Work:
    """`cumsum(self, dim, dtype)`: an operation and a result for each element."""
    own, out = inputs.tensor(0), inputs.out(1)
    dtype = out.dtype if out is not None else inputs.dtype(dtype_at) if dtype_at is not None else None
    dtype = own.dtype if inputs.in_place else dtype or as_sum(own.dtype)
    return amount(own.numel if is_floating(dtype) else 0, [own], own.numel * ITEM_BYTES[dtype])


def _sort(inputs: Inputs) -> Work:
    """Values and their positions, as many as there are; comparing is no arithmetic."""
    own = inputs.tensor(0)
    return amount(0, [own], own.numel * (own.item_bytes + INDEX_BYTES))


def _topk(inputs: Inputs) -> Work:
    """`topk(self, k, dim)`: k values and positions for each row."""
    own, largest, dim = inputs.tensor(0), inputs.integer(1), inputs.at(2)
    if not own.sizes or largest < 0:
        raise UnknownWorkError
    length = own.sizes[_axis(own, dim if isinstance(dim, int) else -1)]
    rows = own.numel // max(1, length)
    return amount(0, [own], rows * min(largest, length) * (own.item_bytes + INDEX_BYTES))


def _multinomial(inputs: Inputs) -> Work:
    """`multinomial(probabilities, samples)`: positions, for each row of probabilities."""
    own, samples = inputs.tensor(0), inputs.integer(1)
    if not own.sizes or samples < 0:
        raise UnknownWorkError
    return amount(0, [own], own.numel // max(1, own.sizes[-1]) * samples * INDEX_BYTES)


def _histogram(inputs: Inputs) -> Work:
    """`histc(self, bins)`: counts in self's type."""
    own, bins = inputs.tensor(0), inputs.integer(1)
    return amount(0, [own], max(0, bins) * own.item_bytes)


REDUCTION: Mapping[str, Callable[[Inputs], Work]] = MappingProxyType(
    {
        **{name: partial(_reduce, spec, name) for name, spec in REDUCTIONS.items()},
        "cumsum": _scan,
        "cumprod": _scan,
        "logcumsumexp": partial(_scan, dtype_at=None),
        "sort": _sort,
        "topk": _topk,
        "multinomial": _multinomial,
        "histc": _histogram,
    }
)
