"""Work: floating-point operations, and the bytes that must move for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmflame.probes.work.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Work:
    """The least that one call of an operator has to do: each input read once, each output written once.

    What a kernel moves beyond it (spilling, re-reading, a transposed copy) is the kernel's, not the work's.
    """

    flops: int
    """Floating-point operations, a multiply-add being 2."""
    read_bytes: int
    written_bytes: int
    reads: tuple[tuple[Tensor, int], ...]
    """Each tensor that is read, and the bytes read of it; they sum up to `read_bytes`."""


class UnknownWorkError(Exception):
    """The inputs don't tell this operator's work."""


def amount(flops: int, reads: Iterable[Tensor | tuple[Tensor, int]], written_bytes: int) -> Work:
    """Work of these reads, each a whole tensor or one with the bytes read of it; no tensor counts twice."""
    distinct: dict[tuple[str, int], tuple[Tensor, int]] = {}
    for number, read in enumerate(reads):
        tensor, read_bytes = (read, read.bytes) if isinstance(read, Tensor) else read
        key = _key(tensor, number)
        known = distinct.get(key)
        if known is None or known[1] < read_bytes:
            distinct[key] = (tensor, read_bytes)
    found = tuple(distinct.values())
    return Work(flops, sum(read_bytes for _, read_bytes in found), written_bytes, found)


def _key(tensor: Tensor, number: int) -> tuple[str, int]:
    # Query, key and value are often slices of one storage: only the tensor object tells slices from
    # one tensor that is given twice. Where it isn't known, one storage is one tensor.
    if tensor.identity is not None:
        return ("tensor", tensor.identity)
    if tensor.storage is not None:
        return ("storage", tensor.storage)
    return ("input", number)
