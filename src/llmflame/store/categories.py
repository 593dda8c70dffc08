"""What memory is held as. Every byte at a peak belongs to one of these."""

from __future__ import annotations

from typing import Final

WEIGHTS: Final = "weights"
"""Storages of parameters and buffers that the process or the device holds a copy of."""
CHECKPOINT: Final = "checkpoint pages"
"""Resident pages of mapped weight files: weights that are read where they lie, or that were just read."""
KV_CACHE: Final = "kv cache"
"""Storages of the cache object that the model returns: keys and values, or a recurrent state."""
ACTIVATIONS: Final = "activations"
"""Made in one module's call and still held when that call has ended: handed from module to module."""
TEMPORARIES: Final = "temporaries"
"""Made and given back within one module's call."""
TENSORS: Final = "other tensors"
"""Tensors that live before and after a step and are neither of the above: inputs, or what somebody keeps."""
WORKSPACE: Final = "workspace"
"""Blocks of the device's allocator that no tensor reaches: cuBLAS', and memory of CUDA graphs."""
SLACK: Final = "allocator slack"
"""What an allocator keeps but nobody uses: reserved less allocated, or the heap's free chunks."""
CONTEXT: Final = "CUDA context and libraries"
"""Device memory of this process beyond torch's allocator: context, kernels' code, libraries' handles."""
OTHER_PROCESSES: Final = "other processes"
"""Device memory that this process doesn't hold."""
PINNED: Final = "pinned"
"""Page-locked host memory that devices copy from."""
RUNTIME: Final = "Python and libraries"
"""Python's objects, the heap of native code, and resident pages of mapped libraries."""
LIBRARIES: Final = "mapped libraries and files"
"""Of `RUNTIME`: the owner of files' pages."""
OTHER: Final = "other"
"""What none of the above explains: the measured peak less their sum. Below 0 where they say too much."""
REWRITTEN: Final = "cache_rewritten_bytes"
"""A reading of a traced window, after its space and `_`: bytes of the cache in storages that it made."""

ORDER = (
    WEIGHTS,
    CHECKPOINT,
    KV_CACHE,
    ACTIVATIONS,
    TEMPORARIES,
    TENSORS,
    WORKSPACE,
    SLACK,
    CONTEXT,
    OTHER_PROCESSES,
    PINNED,
    RUNTIME,
    OTHER,
)
"""As they are listed."""
