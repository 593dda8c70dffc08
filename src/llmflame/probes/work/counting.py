"""Which operators of a call tree count, so that no work counts twice and none is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from llmflame.probes.work.amount import Work
from llmflame.probes.work.free import is_free

Node = TypeVar("Node")

_PREFIX = "aten::"
_COMPOSITE = """
linear matmul _grouped_mm conv1d conv2d conv3d convolution _convolution thnn_conv2d
scaled_dot_product_attention softmax log_softmax layer_norm rms_norm stack concat multinomial norm
"""
_COMPOSITES = frozenset(_COMPOSITE.split())


def is_composite(name: str) -> bool:
    """Whether an operator leaves its work to operators below it where there are any (`aten::linear`).

    All others that are known hold their work whole. What runs below them is how they do it: `mul` turns a
    number into a tensor (`_to_copy`), `addmm` copies its bias (`copy_`), `sum` clears its result (`fill_`).
    Counting only the innermost operators would count those and lose the product.
    """
    return name.removeprefix(_PREFIX) in _COMPOSITES


@dataclass(slots=True)
class Counted(Generic[Node]):
    """The operators of a tree by what is known of their work."""

    known: list[tuple[Node, Work]] = field(default_factory=list)
    """Those that count; none lies below another."""
    unknown: list[Node] = field(default_factory=list)
    """Innermost operators that aren't free and whose work isn't known."""


@dataclass(slots=True)
class _Open(Generic[Node]):
    """An operator whose children are being looked at."""

    node: Node
    work: Work | None
    found: int
    """What was known or unknown when it was opened."""


def count(
    roots: Iterable[Node],
    children: Callable[[Node], Iterable[Node]],
    name: Callable[[Node], str | None],
    work: Callable[[Node], Work | None],
) -> Counted[Node]:
    """The operators that count below `roots`, in the order in which they end.

    `name` gives None for what is no operator: a Python frame, an annotation (it has no inputs). Each
    known operator counts with all that is below it; a composite one, and one that isn't known, only where
    nothing below it counts.
    """
    counted: Counted[Node] = Counted()
    stack: list[Node | _Open[Node]] = [*reversed(list(roots))]
    while stack:
        entry = stack.pop()
        if isinstance(entry, _Open):
            if entry.found == len(counted.known) + len(counted.unknown):
                _close(counted, entry)
            continue
        named = name(entry)
        known = work(entry) if named is not None and not is_free(named) else None
        if named is not None and known is not None and not is_composite(named):
            counted.known.append((entry, known))
            continue
        if named is not None and not is_free(named):
            found = len(counted.known) + len(counted.unknown)
            stack.append(_Open(entry, known, found))
        stack += reversed(list(children(entry)))
    return counted


def _close(counted: Counted[Node], entry: _Open[Node]) -> None:
    if entry.work is not None:
        counted.known.append((entry.node, entry.work))
    else:
        counted.unknown.append(entry.node)
