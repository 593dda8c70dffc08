"""The nouns of a profile: what one row of each table is. No torch, no pandas, only the standard library.

A frame is a place in the program; a node is a frame under a parent (one trie for all passes); a cell is
one number at one node. A metric declares its unit and how it folds up the tree, so that readers and
renderers never guess it from a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

FrameKind = Literal[
    "run",
    "phase",
    "python",
    "module",
    "op",
    "builtin",
    "runtime",
    "wait",
    "kernel",
    "copy",
    "stall_group",
    "stall",
    "instruction",
    "thread",
    "memory",
    "other",
]
"""What a frame is: `run` the whole, `phase` a span of it, `python` a Python function, `module` an
`nn.Module` instance, `op` a torch operator, `builtin` a C function called from Python, `runtime` a CUDA
driver or runtime call, `wait` the part of one in which the host waits for the device, `kernel` work on a
device, `copy` a copy or fill of memory by a device, `stall_group` and `stall` why a kernel's warps did not
issue an instruction, `instruction` a source line or class of a kernel's instructions, `thread` a worker
thread, `memory` what bytes are held as (a category), `other` e.g. `unattributed`."""

Fold = Literal["sum", "max", "none"]
Origin = Literal["measured", "traced", "sampled", "scaled", "computed"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in the program. `name` and `file` are data from the profiled program: escape them."""

    kind: FrameKind
    name: str
    file: str | None = None
    line: int | None = None
    module: str | None = None
    """The path of the owning `nn.Module` instance (`model.layers.7.mlp`), where there is one."""


class Node(NamedTuple):
    """A frame under a parent. Ids are positive; a parent's id is smaller than its children's."""

    id: int
    parent: int | None
    frame: int


@dataclass(frozen=True, slots=True)
class Metric:
    """A kind of number: its unit (`ns`, `bytes`, `count`) and how it folds up the tree."""

    name: str
    unit: str
    fold: Fold
    label: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One property of the machine or its software. `value` None means unknown, never a guess."""

    section: str
    name: str
    value: str | int | float | bool | None
    unit: str | None
    source: str
    """Where the value was read: a file, a command, a library call."""
