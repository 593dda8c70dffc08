"""What comes out of operands: torch's rules of type promotion and of broadcasting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmflame.probes.work.amount import UnknownWorkError
from llmflame.probes.work.tensor import ITEM_BYTES, Argument, Tensor

DEFAULT_FLOAT = "float32"
_BOOL, _INTEGER, _FLOAT, _COMPLEX = range(4)


def kind(dtype: str) -> int:
    """The category of a type; a higher one wins over a lower one."""
    if dtype == "bool":
        return _BOOL
    if "int" in dtype:
        return _INTEGER
    return _COMPLEX if dtype.startswith("complex") else _FLOAT


def is_floating(dtype: str) -> bool:
    """Whether arithmetic on it is floating-point (complex included)."""
    return kind(dtype) >= _FLOAT


def as_float(dtype: str) -> str:
    """What a function like `exp` makes of it: integers become the default float type."""
    return dtype if is_floating(dtype) else DEFAULT_FLOAT


def as_sum(dtype: str) -> str:
    """What sums of it are kept in: those of integers in 64 bits."""
    return dtype if is_floating(dtype) else "int64"


def wider(left: str, right: str) -> str:
    """The type that holds both, of one category or of two."""
    if left == right:
        return left
    low, high = sorted((left, right), key=lambda dtype: (kind(dtype), ITEM_BYTES[dtype], dtype))
    if kind(low) == kind(high) and ITEM_BYTES[low] == ITEM_BYTES[high]:
        if kind(low) == _FLOAT and ITEM_BYTES[low] == ITEM_BYTES["float16"]:
            return "float32"  # float16 and bfloat16: neither holds the other
        if kind(low) == _INTEGER:
            return {1: "int16", 2: "int32"}.get(ITEM_BYTES[low], "int64")
    return high


def result_dtype(operands: Iterable[Argument]) -> str:
    """The type that torch computes these operands in. Raises UnknownWorkError where there is none.

    A 0-dimensional tensor or a number changes the category only, never the width within it
    (https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc). A Python float among the
    operands is recorded as a 0-dimensional float64: beside other tensors it is taken for a number.
    """
    shaped, single, numbers = "", "", ""
    found = [operand for operand in operands if isinstance(operand, Tensor | int | float)]
    others = any(isinstance(item, Tensor) and not _maybe_number(item) for item in found)
    for item in found:
        if isinstance(item, Tensor) and not (others and _maybe_number(item)):
            if item.sizes:
                shaped = wider(shaped, item.dtype) if shaped else item.dtype
            else:
                single = wider(single, item.dtype) if single else item.dtype
        else:
            number = _number_dtype(item)
            numbers = wider(numbers, number) if numbers else number
    result = _combine(shaped, _combine(single, numbers))
    if not result:
        raise UnknownWorkError
    return result


def _maybe_number(tensor: Tensor) -> bool:
    return not tensor.sizes and tensor.dtype == "float64"


def _number_dtype(number: Tensor | int | float) -> str:
    if isinstance(number, bool):
        return "bool"
    return "int64" if isinstance(number, int) else DEFAULT_FLOAT


def _combine(first: str, second: str) -> str:
    """`first` unless `second` is of a higher category."""
    if not first or not second:
        return first or second
    return second if kind(second) > kind(first) else first


def broadcast(shapes: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """The shape that these make together. Raises UnknownWorkError where they don't fit."""
    result: list[int] = []
    for shape in shapes:
        result = [1] * (len(shape) - len(result)) + result
        for position in range(1, len(shape) + 1):
            size, known = shape[-position], result[-position]
            if size != known and 1 not in (size, known):
                raise UnknownWorkError
            result[-position] = known if size == 1 else size
    return tuple(result)
