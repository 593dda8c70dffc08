"""Convolutions, where their strides and paddings are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work, amount
from llmflame.probes.work.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Convolution:
    """Where an operator's schema has what, by position."""

    stride: int
    padding: int
    dilation: int | None
    bias: int | None = 2
    transposed: int | None = None


_COMPOSITE = Convolution(stride=3, padding=4, dilation=5)
_WHOLE = Convolution(stride=3, padding=4, dilation=5, transposed=6)
_CUDNN = Convolution(padding=2, stride=3, dilation=4, bias=None)
_MKLDNN = Convolution(padding=3, stride=4, dilation=5)
_SLOW = Convolution(bias=3, stride=4, padding=5, dilation=None)


def _convolution(schema: Convolution, inputs: Inputs) -> Work:
    """Weights [M, C / groups, *kernel] over [B, C, *lengths]: 2 · weights · B · positions operations.

    How many positions there are is in the strides and paddings, and those are lists, which torch's event
    tree doesn't keep: without them the work is unknown, since a stride may divide it by any number.
    """
    given, weight = inputs.tensor(0), inputs.tensor(1)
    axes = len(weight.sizes) - 2
    if axes < 1 or len(given.sizes) != axes + 2:
        raise UnknownWorkError
    if schema.transposed is not None and inputs.at(schema.transposed) is not False:
        raise UnknownWorkError
    strides = inputs.integers(schema.stride, axes)
    paddings = inputs.integers(schema.padding, axes)
    dilations = (1,) * axes if schema.dilation is None else inputs.integers(schema.dilation, axes)
    positions = []
    for axis in range(axes):
        reach = dilations[axis] * (weight.sizes[axis + 2] - 1)
        if strides[axis] < 1:
            raise UnknownWorkError
        positions.append(
            max(0, (given.sizes[axis + 2] + 2 * paddings[axis] - reach - 1) // strides[axis] + 1)
        )
    places = given.sizes[0] * prod(positions)
    bias = inputs.optional(schema.bias) if schema.bias is not None else None
    reads = (given, weight) if bias is None else (given, weight, bias)
    return amount(2 * places * weight.numel, reads, places * weight.sizes[0] * given.item_bytes)


CONVOLUTION: Mapping[str, Callable[[Inputs], Work]] = MappingProxyType(
    {
        name: partial(_convolution, schema)
        for name, schema in {
            "conv1d": _COMPOSITE,
            "conv2d": _COMPOSITE,
            "conv3d": _COMPOSITE,
            "convolution": _WHOLE,
            "_convolution": _WHOLE,
            "cudnn_convolution": _CUDNN,
            "mkldnn_convolution": _MKLDNN,
            "thnn_conv2d": _SLOW,
            "_slow_conv2d_forward": _SLOW,
            "_conv_depthwise2d": Convolution(bias=3, stride=4, padding=5, dilation=6),
        }.items()
    }
)
