"""The reasons that NVIDIA's sampler gives for a warp not to issue an instruction, in words for people.

What each means: "Warp Stall Reasons" in NVIDIA's Nsight Compute documentation (Profiling Guide). What helps
is said for the kernels of language models. A chip may name reasons that are not here: they are `other`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Group = Literal[
    "device memory",
    "shared memory",
    "barriers",
    "instruction fetch",
    "arithmetic",
    "issuing",
    "other",
]
GROUPS: tuple[Group, ...] = (
    "device memory",
    "shared memory",
    "barriers",
    "instruction fetch",
    "arithmetic",
    "issuing",
    "other",
)
"""In the order in which every view shows them."""


@dataclass(frozen=True, slots=True)
class Reason:
    """`meaning` says what the warp waits for, `helps` what usually makes it wait less."""

    name: str
    group: Group
    meaning: str
    helps: str


@dataclass(frozen=True, slots=True)
class GroupWords:
    """What a group's warps wait for, and what usually helps."""

    meaning: str
    helps: str


GROUP_WORDS: Mapping[Group, GroupWords] = {
    "device memory": GroupWords(
        "waiting for data from or to device memory and its caches",
        "move fewer bytes (a narrower dtype for weights or cache, fused element-wise operators, a larger "
        "batch for each read of the weights), or have more loads in flight",
    ),
    "shared memory": GroupWords(
        "waiting for shared memory or the queue to it",
        "a layout without bank conflicts (padding or swizzling), wider accesses, fewer special functions",
    ),
    "barriers": GroupWords(
        "waiting for other warps of the block",
        "even work among the warps of a block, smaller blocks, fewer synchronisations",
    ),
    "instruction fetch": GroupWords(
        "waiting for the next instruction itself",
        "less code in the hot loop: less unrolling, smaller tiles, fewer operators fused into one kernel",
    ),
    "arithmetic": GroupWords(
        "waiting for the result or the pipe of an arithmetic instruction",
        "tensor cores and narrower dtypes where results allow it, more independent work a warp",
    ),
    "issuing": GroupWords(
        "able to issue: the scheduler is busy",
        "fewer instructions: wider loads, less conversion and index arithmetic, tensor cores for products",
    ),
    "other": GroupWords(
        "waiting for what this release has no name for",
        "see the chip's own documentation",
    ),
}

_REASONS = (
    Reason(
        "long_scoreboard", "device memory",
        "The warp waits for data that it has loaded from device or local memory, through the L1 cache.",
        "Fewer bytes or more of them in flight: weights in int8 or int4, a larger batch, asynchronous copies "
        "ahead of their use, split-K where a decode step's products have too few blocks.",
    ),
    Reason(
        "lg_throttle", "device memory",
        "The queue of global and local memory instructions is full.",
        "Fewer, wider loads (128 bits a thread), no register spills to local memory, a contiguous layout.",
    ),
    Reason(
        "tex_throttle", "device memory",
        "The queue of texture and surface instructions is full.",
        "Fewer texture fetches, or plain loads in their place; kernels of language models seldom have any.",
    ),
    Reason(
        "drain", "device memory",
        "The warp has ended and waits until its writes to memory are done.",
        "Fuse the next element-wise operator so that less is written, and write whole cache lines a warp.",
    ),
    Reason(
        "membar", "device memory",
        "The warp waits at a memory fence until its earlier accesses are seen by others.",
        "Fewer or narrower fences: split-K and stream-K reductions through device memory ask for them.",
    ),
    Reason(
        "short_scoreboard", "shared memory",
        "The warp waits for a result from shared memory or from the special function unit.",
        "Resolve bank conflicts (pad or swizzle the tile), keep values in registers, fewer exponentials "
        "a value in softmax and activations.",
    ),
    Reason(
        "mio_throttle", "shared memory",
        "The queue to shared memory, special functions and dynamic branches is full.",
        "Fewer, wider accesses of shared memory (128 bits, ldmatrix), shuffles in place of trips through it.",
    ),
    Reason(
        "barrier", "barriers",
        "The warp waits for the other warps of its block at a barrier.",
        "Even the work before the barrier, smaller blocks, reductions by warp shuffles; in Triton fewer "
        "warps a program.",
    ),
    Reason(
        "sleeping", "barriers",
        "All threads of the warp sleep, as code that polls for another block's result makes them.",
        "Look at what the kernel waits for: stream-K and persistent kernels poll for other blocks' tiles.",
    ),
    Reason(
        "no_instructions", "instruction fetch",
        "The next instruction is not in the instruction cache yet.",
        "Less code: less unrolling, smaller fused kernels; a kernel of few microseconds always pays its "
        "first misses, so fewer and longer launches help too.",
    ),
    Reason(
        "imc_miss", "instruction fetch",
        "The warp waits for a constant or kernel argument that is not in the constant cache yet.",
        "Fewer arguments and constants; short kernels always pay their first misses, so fuse them.",
    ),
    Reason(
        "branch_resolving", "instruction fetch",
        "The warp waits for the target of a branch.",
        "Fewer and longer loop bodies, predicates in place of branches, masks hoisted out of the hot loop.",
    ),
    Reason(
        "math_pipe_throttle", "arithmetic",
        "The arithmetic pipe that the next instruction needs is busy.",
        "Another pipe or less work: products on tensor cores, a narrower dtype, fewer conversions.",
    ),
    Reason(
        "wait", "arithmetic",
        "The warp waits the fixed number of cycles that an instruction before takes.",
        "More warps or more independent work a warp; it is what remains when nothing else is in the way.",
    ),
    Reason(
        "dispatch_stall", "arithmetic",
        "The dispatcher holds the instruction back, over a conflict of registers or units.",
        "Seldom in one's hands: another tile size or number of registers may avoid it.",
    ),
    Reason(
        "warpgroup_arrive", "arithmetic",
        "A group's warps wait for each other or for the tensor cores before a warp-group product (wgmma).",
        "Where arithmetic is near its ceiling this is as it should be; elsewhere deeper pipelines or other "
        "tiles, so that products find their data ready.",
    ),
    Reason(
        "selected", "issuing",
        "The warp issued an instruction.",
        "Nothing is wrong here; fewer instructions would take less time.",
    ),
    Reason(
        "not_selected", "issuing",
        "The warp could issue, but the scheduler took another warp.",
        "There are warps enough: fewer of them leave more registers and cache to each, and fewer "
        "instructions take less time.",
    ),
    Reason(
        "misc", "other",
        "A reason that the hardware does not tell apart.",
        "Nothing to be done by its name.",
    ),
)  # fmt: skip
REASONS: Mapping[str, Reason] = {reason.name: reason for reason in _REASONS}


def group_of(reason: str) -> Group:
    """The group of a reason; `other` for one that is not known."""
    known = REASONS.get(reason)
    return known.group if known is not None else "other"
