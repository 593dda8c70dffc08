"""Element by element: one operation for each element of a floating-point result.

Every function counts as one, `gelu` as much as `add`: what a hardware needs for it is the hardware's.
Comparisons, and arithmetic on integers, are no floating-point operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work, amount
from llmflame.probes.work.inputs import Inputs
from llmflame.probes.work.promotion import as_float, broadcast, is_floating, result_dtype
from llmflame.probes.work.tensor import ITEM_BYTES, Tensor

_SAME = """
abs absolute neg negative positive sgn sign square round floor ceil trunc fix frac relu relu6 threshold
hardtanh nan_to_num bitwise_not conj_physical _conj_physical
"""
_FLOAT = """
exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan arcsin arccos arctan
sinh cosh tanh asinh acosh atanh sigmoid erf erfc erfinv logit sinc silu gelu softplus mish elu celu selu
leaky_relu hardswish hardsigmoid hardshrink softshrink log_sigmoid log_sigmoid_forward deg2rad rad2deg
digamma lgamma i0
"""
_TRUTH = "logical_not isnan isinf isneginf isposinf isfinite signbit isreal"
_SAME_OF_TWO = """
add sub subtract rsub mul multiply pow maximum minimum fmax fmin floor_divide remainder fmod clamp_min
clamp_max bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift __and__ __or__ __xor__
__lshift__ __rshift__ copysign hypot heaviside prelu _prelu_kernel nextafter xlogy ldexp logaddexp
logaddexp2
"""
_FLOAT_OF_TWO = "div divide true_divide atan2 arctan2"
_TRUTH_OF_TWO = """
eq ne lt le gt ge not_equal less less_equal greater greater_equal logical_and logical_or
logical_xor isclose
"""
_SAME_OF_THREE = "clamp clip addcmul addcdiv lerp"


def _elementwise(inputs: Inputs, *, operands: int, result: str = "") -> Work:
    """`operands` that broadcast; `result` is "float" where integers become so, "bool", or as they are."""
    given = [inputs.at(position) for position in range(operands)]
    tensors = [operand for operand in given if isinstance(operand, Tensor)]
    if not tensors or any(isinstance(operand, list) for operand in given):
        raise UnknownWorkError
    shape = broadcast(tensor.sizes for tensor in tensors)
    dtype = result_dtype(given)
    if result:
        dtype = "bool" if result == "bool" else as_float(dtype)
    return amount(
        prod(shape) if is_floating(dtype) else 0, tensors, _written(inputs, operands, prod(shape), dtype)
    )


def _written(inputs: Inputs, operands: int, elements: int, dtype: str) -> int:
    if inputs.in_place:
        return inputs.tensor(0).bytes
    out = inputs.out(operands)
    return elements * ITEM_BYTES[dtype if out is None else out.dtype]


def _divide(inputs: Inputs) -> Work:
    """A third argument that isn't a tensor is a rounding mode, under which integers stay integers."""
    rounds = len(inputs) > 2 and inputs.optional(2) is None
    return _elementwise(inputs, operands=2, result="" if rounds else "float")


def _where(inputs: Inputs) -> Work:
    """`where(condition, one, other)`: moves values; the condition has no part in their type."""
    condition, given = inputs.tensor(0), [inputs.at(1), inputs.at(2)]
    if any(not isinstance(operand, Tensor | int | float) for operand in given):
        raise UnknownWorkError
    tensors = [condition, *(operand for operand in given if isinstance(operand, Tensor))]
    elements = prod(broadcast(tensor.sizes for tensor in tensors))
    return amount(0, tensors, _written(inputs, 3, elements, result_dtype(given)))


def _masked_fill(inputs: Inputs) -> Work:
    """`masked_fill(self, mask, value)`: moves values, in self's type."""
    own, mask, value = inputs.tensor(0), inputs.tensor(1), inputs.optional(2)
    elements = prod(broadcast([own.sizes, mask.sizes]))
    reads = [own, mask] if value is None else [own, mask, value]
    return amount(0, reads, own.bytes if inputs.in_place else elements * own.item_bytes)


def _clone(inputs: Inputs) -> Work:
    """A copy in its own memory: an expanded tensor is written out in full."""
    own = inputs.tensor(0)
    return amount(0, [own], own.numel * own.item_bytes)


def _rules() -> dict[str, Callable[[Inputs], Work]]:
    groups = (
        (_SAME, 1, ""),
        (_FLOAT, 1, "float"),
        (_TRUTH, 1, "bool"),
        (_SAME_OF_TWO, 2, ""),
        (_FLOAT_OF_TWO, 2, "float"),
        (_TRUTH_OF_TWO, 2, "bool"),
        (_SAME_OF_THREE, 3, ""),
    )
    rules: dict[str, Callable[[Inputs], Work]] = {
        name: partial(_elementwise, operands=operands, result=result)
        for names, operands, result in groups
        for name in names.split()
    }
    two = dict.fromkeys(("div", "divide", "true_divide"), _divide)
    return {**rules, **two, "where": _where, "masked_fill": _masked_fill, "clone": _clone}


ELEMENTWISE: Mapping[str, Callable[[Inputs], Work]] = MappingProxyType(_rules())
