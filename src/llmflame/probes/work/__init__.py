"""The work of an operator: the operations it must do and the bytes it must move, from its inputs' shapes."""

from __future__ import annotations

from llmflame.probes.work.amount import Work
from llmflame.probes.work.counting import Counted, count, is_composite
from llmflame.probes.work.free import is_free
from llmflame.probes.work.native import arguments
from llmflame.probes.work.operator import op_work
from llmflame.probes.work.tensor import Argument, Tensor

__all__ = [
    "Argument",
    "Counted",
    "Tensor",
    "Work",
    "arguments",
    "count",
    "is_composite",
    "is_free",
    "op_work",
]
