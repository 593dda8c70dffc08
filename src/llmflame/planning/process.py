"""What a process holds beside its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
CONTEXT_BYTES = 690 * MIB
"""Recordings on an H200 with torch 2.11 and CUDA 13 found 684 to 692 MiB. Older ones take less."""
_WORKSPACES = (
    ((9, 0), (10, 0), 32 * MIB, "torch's default for cuBLAS on compute capability 9.x"),
    ((0, 0), (99, 0), 8_519_680, "torch's default for cuBLAS, CUBLAS_WORKSPACE_CONFIG=:4096:2:16:8"),
)
"""From a compute capability on, up to another: bytes and their source. The first that fits counts."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Bytes, and where they come from in words."""

    bytes: int
    formula: str
    estimated: bool = False


def context() -> Amount:
    """Device memory of a process that uses CUDA, its tensors apart."""
    words = f"a CUDA context with torch's and cuBLAS' kernels: {CONTEXT_BYTES // MIB} MiB, as on an H200"
    return Amount(CONTEXT_BYTES, words, True)


def workspace(capability: tuple[int, int]) -> Amount:
    """What cuBLAS keeps from torch's allocator from the first matrix product on, one stream."""
    return next(
        Amount(size, source) for least, below, size, source in _WORKSPACES if least <= capability < below
    )


def runtime(folder: Path | None = None) -> Amount:
    """Python, libraries, tokeniser: the resident set of this process after a rehearsal without the model."""
    import psutil

    from llmflame.planning.rehearsal import rehearse

    rehearse(folder)
    resident = psutil.Process().memory_info().rss
    words = "resident set of this process with libraries, tokeniser, and a tiny model's request"
    return Amount(resident, words, True)
