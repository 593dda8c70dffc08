"""The work of an operator, by its name and inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work
from llmflame.probes.work.attention import KERNELS, attention
from llmflame.probes.work.convolution import CONVOLUTION
from llmflame.probes.work.elementwise import ELEMENTWISE
from llmflame.probes.work.inputs import Inputs
from llmflame.probes.work.matmul import MATMUL
from llmflame.probes.work.movement import MOVEMENT
from llmflame.probes.work.normalization import NORMALIZATION
from llmflame.probes.work.reduction import REDUCTION
from llmflame.probes.work.tensor import Argument

_PREFIX = "aten::"
_RULES: Mapping[str, Callable[[Inputs], Work]] = MappingProxyType(
    {
        **MATMUL,
        **CONVOLUTION,
        **ELEMENTWISE,
        **REDUCTION,
        **NORMALIZATION,
        **MOVEMENT,
        **{name: partial(attention, kernel) for name, kernel in KERNELS.items()},
    }
)


def op_work(name: str, inputs: Sequence[Argument]) -> Work | None:
    """Operations and bytes of one call, from what the tracer records of it; None where that isn't enough.

    `name` is as the tracer gives it ("aten::mm"). Unknown stay operators outside aten, quantised products,
    and those whose work is in what isn't recorded: `index` and `index_put_` (lists of optional tensors),
    convolutions (lists of integers), `nonzero` and its like (values).
    """
    if not name.startswith(_PREFIX):
        return None
    base = name.removeprefix(_PREFIX)
    rule, in_place = _RULES.get(base), base.endswith("_")
    if rule is None and in_place and not base.endswith("__"):
        rule = _RULES.get(base.removesuffix("_"))
    if rule is None:
        return None
    asked = Inputs(inputs, in_place)
    try:
        asked.check()
        return rule(asked)
    except UnknownWorkError:
        return None
