"""What `scaled_dot_product_attention` allocates on a device, done on tensors without data.

On the meta device torch would take the path that writes out all scores. The kernels of real devices don't:
they allocate the output, the log-sum-exp of each row and their own buffers, which are computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode

DeviceKind = Literal["cpu", "cuda"]
FLASH_CAPABILITY = (8, 0)
"""The first compute capability that torch's flash attention runs on."""
FLASH_HEAD_SIZE = 256
"""The largest head that torch's flash attention takes."""
BIAS_ALIGNMENT = 16
"""Rows of a mask are padded to a multiple of so many elements for the memory-efficient kernel."""
CPU_KEYS = 512
"""Keys that the CPU's flash kernel works on at once."""
_QUERY_BLOCKS = ((768, 256), (192, 64), (0, 32))
"""From so many queries on, the CPU's flash kernel takes so many at once (torch, FlashAttentionKernel.cpp)."""
FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Kernels:
    """What decides which attention kernel torch takes and what it allocates."""

    device_kind: DeviceKind
    threads: int = 1
    """torch's threads on a CPU: each has buffers of its own."""
    capability: tuple[int, int] = FLASH_CAPABILITY
    """The CUDA device's compute capability."""


class AttentionWithoutScores(TorchFunctionMode):
    """Replaces torch's attention function by its allocations on a device."""

    def __init__(self, kernels: Kernels) -> None:
        super().__init__()
        self._kernels = kernels

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Any other function runs as it is; so does attention where torch would write out the scores."""
        kwargs = kwargs or {}
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        names = ("query", "key", "value", "attn_mask")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        query, key, value, mask = (given.get(name) for name in names)
        if not isinstance(query, torch.Tensor) or key is None or value is None or query.dim() != 4:
            return func(*args, **kwargs)
        if self._kernels.device_kind == "cpu":
            attend = _on_cpu(query, key, value, mask, self._kernels.threads)
        else:
            attend = _on_cuda(query, key, value, mask, self._kernels.capability)
        return func(*args, **kwargs) if attend is None else attend


def _output(query: torch.Tensor, head_size: int) -> torch.Tensor:
    """In the layout of the projections, as the kernels return it."""
    batch, heads, tokens, _ = query.shape
    return query.new_empty(batch, tokens, heads, head_size).transpose(1, 2)


def _on_cpu(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, threads: int
) -> torch.Tensor | None:
    """The output, with the flash kernel's buffers held while it is made; None where that kernel isn't
    taken."""
    batch, heads, tokens, size = query.shape
    if value.shape[-1] != size:
        return None
    converted = query.new_empty(mask.shape) if mask is not None and mask.dtype == torch.bool else None
    output = _output(query, size)
    sums = query.new_empty(batch, tokens, heads, dtype=torch.float32)
    reduced = query.dtype != torch.float32
    buffers = query.new_empty(
        cpu_buffer_bytes(tokens, key.shape[2], size, threads, reduced=reduced), dtype=torch.uint8
    )
    del converted, sums, buffers
    return output


def cpu_buffer_bytes(queries: int, keys: int, head_size: int, threads: int, *, reduced: bool) -> int:
    """Each thread's scores of a block, their maxima and sums, and its output, in float32.

    In a type of 16 bits (`reduced`) the scores once more in that type.
    """
    block = min(queries, next(size for least, size in _QUERY_BLOCKS if queries >= least))
    scores = block * min(keys, CPU_KEYS)
    floats = scores + 2 * block + block * head_size
    return threads * (floats * FLOAT32_BYTES + (scores * 2 if reduced else 0))


def _on_cuda(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    capability: tuple[int, int],
) -> torch.Tensor | None:
    """The output of flash or memory-efficient attention; None where torch takes neither.

    Flash attention needs 16 bits, no mask and small heads of one size. The memory-efficient kernel knows no
    groups of query heads.
    """
    batch, heads, tokens, size = query.shape
    same = value.shape[-1] == size
    half = query.dtype in (torch.float16, torch.bfloat16)
    if half and mask is None and same and size <= FLASH_HEAD_SIZE and capability >= FLASH_CAPABILITY:
        output = _output(query, size)
        sums = query.new_empty(batch, heads, tokens, dtype=torch.float32)
        del sums
        return output
    if key.shape[1] != heads:
        return None
    bias = _bias(query, mask) if mask is not None else None
    output = _output(query, value.shape[-1])
    del bias
    return output


def _bias(query: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """A mask as numbers of the query's type, and its copy with padded rows."""
    as_numbers = query.new_empty(mask.shape) if mask.dtype == torch.bool else mask
    keys = mask.shape[-1]
    if keys % BIAS_ALIGNMENT == 0:
        return (as_numbers,)
    padded = keys + BIAS_ALIGNMENT - keys % BIAS_ALIGNMENT
    return as_numbers, query.new_empty(*mask.shape[:-1], padded)
