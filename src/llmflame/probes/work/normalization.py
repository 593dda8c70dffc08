"""Softmax and the norms: a few operations an element, each counted as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work, amount
from llmflame.probes.work.inputs import Inputs
from llmflame.probes.work.promotion import as_float
from llmflame.probes.work.tensor import ITEM_BYTES, Tensor

SOFTMAX_FLOPS = 5
"""An element: maximum, difference, exponential, sum, quotient (of log-softmax a second difference)."""
LAYER_NORM_FLOPS = 5
"""An element: sum; difference, square, sum; times the reciprocal deviation."""
RMS_NORM_FLOPS = 3
"""An element: square, sum; times the reciprocal root mean square."""
STATISTIC_BYTES = 4
"""A mean or a deviation is float32, of float64 input float64. (A CPU's layer norm keeps a half type: 2.)"""


def _softmax(inputs: Inputs) -> Work:
    """`_softmax(self, dim, half_to_float)`, `softmax(self, dim, dtype)`."""
    own, out = inputs.tensor(0), inputs.out(1)
    if out is not None:
        dtype = out.dtype
    elif isinstance(inputs.at(2), bool):
        dtype = "float32" if inputs.flag(2) else own.dtype
    else:
        dtype = inputs.dtype(2) or as_float(own.dtype)
    return amount(SOFTMAX_FLOPS * own.numel, [own], own.numel * ITEM_BYTES[dtype])


def _norm(inputs: Inputs, *, flops: int, weights: tuple[int, ...], statistics: int) -> Work:
    """Rows as long as the weight, or as the last dimension where there is none; one operation a weight.

    `statistics` are the numbers a row that the operator writes beside its result.
    """
    own = inputs.tensor(0)
    if not own.sizes:
        raise UnknownWorkError
    given = [tensor for at in weights if (tensor := inputs.optional(at)) is not None]
    length = given[0].numel if given else own.sizes[-1]
    rows = own.numel // max(1, length)
    statistic_bytes = max(STATISTIC_BYTES, own.item_bytes)
    written = own.numel * own.item_bytes + statistics * rows * statistic_bytes
    return amount((flops + len(given)) * own.numel, [own, *given], written)


def _group_norm(inputs: Inputs) -> Work:
    """`native_group_norm(self, weight, bias, N, C, HxW, groups)`: a mean and a deviation for each group."""
    own = inputs.tensor(0)
    given = [tensor for at in (1, 2) if (tensor := inputs.optional(at)) is not None]
    groups = inputs.integer(3) * inputs.integer(6)
    if groups < 0:
        raise UnknownWorkError
    written = own.numel * own.item_bytes + 2 * groups * max(STATISTIC_BYTES, own.item_bytes)
    reads: list[Tensor] = [own, *given]
    return amount((LAYER_NORM_FLOPS + len(given)) * own.numel, reads, written)


NORMALIZATION: Mapping[str, Callable[[Inputs], Work]] = MappingProxyType(
    {
        **dict.fromkeys(("softmax", "_softmax", "log_softmax", "_log_softmax"), _softmax),
        "layer_norm": partial(_norm, flops=LAYER_NORM_FLOPS, weights=(2, 3), statistics=0),
        "native_layer_norm": partial(_norm, flops=LAYER_NORM_FLOPS, weights=(2, 3), statistics=2),
        "rms_norm": partial(_norm, flops=RMS_NORM_FLOPS, weights=(2,), statistics=0),
        "_fused_rms_norm": partial(_norm, flops=RMS_NORM_FLOPS, weights=(2,), statistics=1),
        "native_group_norm": _group_norm,
    }
)
