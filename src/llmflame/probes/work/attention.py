"""Scaled-dot-product attention under each of its operators' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from llmflame.probes.work.amount import UnknownWorkError, Work, amount
from llmflame.probes.work.inputs import Inputs
from llmflame.probes.work.tensor import Tensor

LOGSUMEXP_BYTES = 4
"""One float32 for each query of each head."""
_NO_MASK, _TOP_LEFT, _BOTTOM_RIGHT = range(3)
"""`custom_mask_type` of aten::_efficient_attention_forward (mem_eff_attention/kernel_forward.h)."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where an operator's schema has what, by position; None where it has no such argument."""

    causal: int | None
    bottom_right: bool = False
    """What causal means for T queries against C keys: query i sees keys up to i + C - T, else up to i.

    Bottom-right is flash attention on CUDA since 2.1, which torch.nn.attention.bias relies on for
    `causal_lower_right`. The efficient, the cuDNN and the CPU operators take top-left, as
    `scaled_dot_product_attention` documents it. (`mask_type` names the alignment itself.)
    """
    mask: int | None = None
    mask_type: int | None = None
    logsumexp: int | bool = False
    """Whether the log-sum-exp is written too: always, never, or the position of the flag that says so."""
    heads: int = 1
    """The dimension of the heads; the sequence is the other of 1 and 2."""
    absent: tuple[int, ...] = ()
    """Tensors (cumulative lengths, page tables) whose values would be needed: with them it is unknown."""
    window: tuple[int, int] | None = None
    """Positions of how far a query sees to the left and to the right."""


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "scaled_dot_product_attention": Kernel(causal=5, mask=3),
        "_scaled_dot_product_flash_attention": Kernel(
            causal=4, bottom_right=True, logsumexp=True, absent=(3,)
        ),
        "_scaled_dot_product_flash_attention_for_cpu": Kernel(causal=4, mask=5, logsumexp=True),
        "_scaled_dot_product_efficient_attention": Kernel(causal=6, mask=3, logsumexp=4),
        "_scaled_dot_product_cudnn_attention": Kernel(causal=6, mask=3, logsumexp=4),
        "_scaled_dot_product_fused_attention_overrideable": Kernel(causal=5, mask=3, logsumexp=True),
        "_flash_attention_forward": Kernel(
            causal=8,
            bottom_right=True,
            logsumexp=True,
            heads=2,
            absent=(3, 4, 10, 13, 14, 15),
            window=(11, 12),
        ),
        "_efficient_attention_forward": Kernel(
            causal=None, mask=3, mask_type=9, logsumexp=10, heads=2, absent=(4, 5, 12, 13)
        ),
        "_cudnn_attention_forward": Kernel(causal=10, mask=3, logsumexp=8, absent=(4, 5)),
    }
)
"""By aten name, after native_functions.yaml. `absent` also keeps out overloads with scales for float8."""


@dataclass(frozen=True, slots=True)
class Band:
    """The keys that each of `queries` queries sees: from i + first to i + last, of keys 0 to `keys` - 1."""

    queries: int
    keys: int
    first: int | None = None
    last: int | None = None

    @property
    def pairs(self) -> int:
        """How many pairs of query and key are kept."""
        upper = self._summed(self.last + 1) if self.last is not None else self.queries * self.keys
        lower = self._summed(self.first) if self.first is not None else 0
        return max(0, upper - lower)

    @property
    def keys_seen(self) -> int:
        """How many keys any query sees: the rest is never read."""
        if not self.queries:
            return 0
        end = self.keys if self.last is None else min(self.keys, self.queries + self.last)
        start = 0 if self.first is None else max(0, self.first)
        return max(0, end - start)

    def _summed(self, offset: int) -> int:
        """Sum over queries i of i + offset, held within 0 and `keys`."""
        rising_from = min(max(0, -offset), self.queries)
        full_from = min(max(0, self.keys - offset), self.queries)
        rising = full_from - rising_from
        if rising <= 0:
            return (self.queries - full_from) * self.keys
        first = rising_from + offset
        return rising * first + rising * (rising - 1) // 2 + (self.queries - full_from) * self.keys


def attention(kernel: Kernel, inputs: Inputs) -> Work:
    """Both products, for the pairs of query and key that are kept: 2 · B · H · pairs · (d + d of values).

    The softmax in between isn't counted (nor is it by torch's FlopCounterMode). Causal keeps a triangle; a
    mask given as a tensor is read, but what it leaves out is in its values: every pair counts. Keys and
    values may have fewer heads than queries; keys that no query sees aren't read. Shapes: queries
    [batch, H, T, d], keys [batch, K, C, d], values [batch, K, C, d of values], or with heads and sequence
    swapped.
    """
    query, key, value = (_four(inputs.tensor(position)) for position in range(3))
    if any(inputs.at(position) is not None and not _number(inputs, position) for position in kernel.absent):
        raise UnknownWorkError
    sequence = 3 - kernel.heads
    batch, heads, queries = query.sizes[0], query.sizes[kernel.heads], query.sizes[sequence]
    keys, key_heads = key.sizes[sequence], key.sizes[kernel.heads]
    fits = (
        query.sizes[3] == key.sizes[3]
        and value.sizes[sequence] == keys
        and value.sizes[kernel.heads] == key_heads
        and (key_heads and heads % key_heads == 0)
    )
    if not fits:
        raise UnknownWorkError
    band = _band(kernel, inputs, queries, keys)
    reads: list[Tensor | tuple[Tensor, int]] = [query]
    reads += [(tensor, tensor.bytes * band.keys_seen // max(1, keys)) for tensor in (key, value)]
    mask = inputs.optional(kernel.mask) if kernel.mask is not None else None
    if mask is not None:
        reads.append(mask)
    rows = batch * heads * queries
    written = rows * value.sizes[3] * query.item_bytes
    if kernel.logsumexp is True or (kernel.logsumexp is not False and inputs.flag(kernel.logsumexp)):
        written += rows * LOGSUMEXP_BYTES
    return amount(2 * batch * heads * band.pairs * (query.sizes[3] + value.sizes[3]), reads, written)


def _four(tensor: Tensor) -> Tensor:
    if len(tensor.sizes) != 4:
        raise UnknownWorkError
    return tensor


def _number(inputs: Inputs, position: int) -> bool:
    return isinstance(inputs.at(position), int | float)


def _band(kernel: Kernel, inputs: Inputs, queries: int, keys: int) -> Band:
    causal = kernel.causal is not None and inputs.flag(kernel.causal)
    bottom_right = kernel.bottom_right
    if kernel.mask_type is not None:
        mask_type = inputs.integer(kernel.mask_type)
        if mask_type not in (_NO_MASK, _TOP_LEFT, _BOTTOM_RIGHT):
            raise UnknownWorkError
        causal, bottom_right = mask_type != _NO_MASK, mask_type == _BOTTOM_RIGHT
    offset = keys - queries if bottom_right else 0
    band = Band(queries, keys, last=offset if causal else None)
    if kernel.window is None:
        return band
    left, right = (inputs.at(position) for position in kernel.window)
    if isinstance(left, int) and left >= 0:
        band = replace(band, first=offset - left)
    if isinstance(right, int) and right >= 0 and not causal:
        band = replace(band, last=offset + right)
    return band
