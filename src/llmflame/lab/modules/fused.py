"""Projections of the same input joined into one: a matrix product instead of three, or of two."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmflame.scratch import rope
from llmflame.scratch.cache import KeyValueCache
from llmflame.scratch.model import Attend, Attention, FeedForward, LanguageModel


def joined(parts: Sequence[nn.Linear]) -> nn.Linear:
    """One layer whose outputs are those of all parts behind each other."""
    made = nn.Linear(1, 1, bias=parts[0].bias is not None, device="meta")
    made.weight = _frozen([part.weight for part in parts])
    if parts[0].bias is not None:
        made.bias = _frozen([part.bias for part in parts])
    made.out_features, made.in_features = made.weight.shape
    return made


def _frozen(tensors: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.cat(list(tensors)), requires_grad=False)


class FusedAttention(nn.Module):
    """`scratch.model.Attention` with queries, keys and values from one product."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.layer, self.head_dim = attention.layer, attention.head_dim
        self.attend: Attend = attention.attend
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.widths = [part.out_features for part in parts]
        self.qkv_proj: nn.Module = joined(parts)
        self.o_proj: nn.Module = attention.o_proj
        self.q_norm, self.k_norm = attention.q_norm, attention.k_norm

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, cache: KeyValueCache | None
    ) -> Tensor:
        """As `scratch.model.Attention`."""
        queries, keys, values = (
            part.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)
            for part in self.qkv_proj(x).split(self.widths, dim=-1)
        )
        queries = rope.rotate(self.q_norm(queries), *turn)
        keys = rope.rotate(self.k_norm(keys), *turn)
        if cache is not None:
            keys, values = cache.update(self.layer, keys, values)
        mixed = self.attend(queries, keys, values, mask)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


class FusedFeedForward(nn.Module):
    """`scratch.model.FeedForward` with gate and up from one product."""

    def __init__(self, feed_forward: FeedForward) -> None:
        super().__init__()
        self.gate_up_proj: nn.Module = joined((feed_forward.gate_proj, feed_forward.up_proj))
        self.down_proj: nn.Module = feed_forward.down_proj

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, T, E]. Returns the same."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(functional.silu(gate) * up)
        return out


def fuse(model: LanguageModel) -> None:
    """Join the projections of every layer; the parts' memory is given back layer by layer."""
    for layer in model.model.layers:
        layer.self_attn = FusedAttention(layer.self_attn)  # type: ignore[arg-type]
        layer.mlp = FusedFeedForward(layer.mlp)  # type: ignore[arg-type]
