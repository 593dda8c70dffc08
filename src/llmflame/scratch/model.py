"""The decoder, from token ids to logits, bottom up: each part uses those above it.

Touvron et al. 2023 (LLaMA, arXiv 2302.13971), section 2.2, says what it is made of: a decoder (Vaswani et al.
2017, arXiv 1706.03762) with RMSNorm before each part, SwiGLU, and rotary positions; grouped queries came with
Llama 2 (arXiv 2307.09288), section 2.2; norms of queries and keys with Qwen3 (arXiv 2505.09388), section 2.

Letters of shapes: B rows of a batch; T new tokens of each row; S columns of keys, past and new; V vocabulary;
E width; F inner width; H query heads; K key and value heads; D dimensions of a head.

Modules have the names that checkpoints use, so that loading needs no table of names.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmflame.scratch import rope
from llmflame.scratch.cache import KeyValueCache
from llmflame.scratch.config import Config

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(queries, keys, values, mask) to mixed values, with the shapes of `attend`."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) * weight. Zhang and Sennrich 2019 (arXiv 1910.07467), equation 4."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., width]. Returns the same. The mean of squares is taken in float32, as in training."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return self.weight * (wide * scale).to(x.dtype)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V. Vaswani et al. 2017, equation 1.

    queries: [B, H, T, D]; keys and values: [B, K, S, D]; mask: [B, 1, T, S], True where a token may look.
    Returns [B, H, T, D].

    Query heads h * H/K to (h + 1) * H/K - 1 share key head h: Ainslie et al. 2023 (GQA, arXiv 2305.13245),
    section 2.2. They are laid below each other as H/K * T queries of that head, so that no key is copied.
    """
    batch, heads, new, head_dim = queries.shape
    kv_heads, columns = keys.shape[1], keys.shape[2]
    grouped = queries.reshape(batch, kv_heads, -1, head_dim)  # [B, K, H/K * T, D]
    scores = grouped @ keys.transpose(2, 3) / math.sqrt(head_dim)  # [B, K, H/K * T, S]
    scores = scores.view(batch, heads, new, columns).masked_fill(~mask, -math.inf)
    # In float32: the sum of many small weights is what low precision gets wrong.
    weights = scores.softmax(-1, dtype=torch.float32).to(values.dtype)
    mixed = weights.view(batch, kv_heads, -1, columns) @ values  # [B, K, H/K * T, D]
    return mixed.view(batch, heads, new, head_dim)


class Attention(nn.Module):
    """Each token mixes the values of those that it may look at. GQA with rotary positions."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
        bias = config.attention_bias
        self.layer, self.head_dim = layer, config.head_dim
        self.q_proj = nn.Linear(config.width, queries, bias=bias)
        self.k_proj = nn.Linear(config.width, keys, bias=bias)
        self.v_proj = nn.Linear(config.width, keys, bias=bias)
        self.o_proj = nn.Linear(queries, config.width, bias=bias)
        if config.qk_norm:
            self.q_norm: nn.Module = RMSNorm(config.head_dim, config.norm_epsilon)
            self.k_norm: nn.Module = RMSNorm(config.head_dim, config.norm_epsilon)
        else:
            self.q_norm = self.k_norm = nn.Identity()
        self.attend: Attend = attend

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, cache: KeyValueCache | None
    ) -> Tensor:
        """x: [B, T, E]; turn: cosine and sine, [B, 1, T, D / 2]; mask: [B, 1, T, S]. Returns [B, T, E]."""
        queries = rope.rotate(self.q_norm(self._heads(self.q_proj(x))), *turn)  # [B, H, T, D]
        keys = rope.rotate(self.k_norm(self._heads(self.k_proj(x))), *turn)  # [B, K, T, D]
        values = self._heads(self.v_proj(x))  # [B, K, T, D]
        if cache is not None:
            keys, values = cache.update(self.layer, keys, values)  # [B, K, S, D]
        mixed: Tensor = self.attend(queries, keys, values, mask)  # [B, H, T, D]
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        """[B, T, heads * D] to [B, heads, T, D]."""
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x)). Shazeer 2020 (arXiv 2002.05202), equation 6."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.inner_width, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.width, config.inner_width, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.inner_width, config.width, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, T, E], within [B, T, F]. Returns [B, T, E]."""
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)): norms before, as in LLaMA, section 2.2."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.norm_epsilon)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_epsilon)
        self.mlp = FeedForward(config)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, cache: KeyValueCache | None
    ) -> Tensor:
        """x: [B, T, E]; turn, mask and cache as in `Attention`. Returns [B, T, E]."""
        x = x + self.self_attn(self.input_layernorm(x), turn, mask, cache)
        x = x + self.mlp(self.post_attention_layernorm(x))
        return x


def visible(columns: Tensor, padding: Tensor, width: int) -> Tensor:
    """Which columns a token may look at: none right of its own, none of the padding at the left of its row.

    columns: [T], those of the new tokens; padding: [B], how many columns of padding each row begins with;
    width: S. Returns [B, 1, T, S]. Causal masking: Vaswani et al. 2017, section 3.2.3.
    """
    keys = torch.arange(width, device=columns.device)  # [S]
    causal = keys <= columns[:, None]  # [T, S]
    real = keys >= padding[:, None, None]  # [B, 1, S]
    # Padding looks at itself: a softmax over nothing is NaN, and 0 * NaN spreads to every token of the row.
    itself = keys == columns[:, None]  # [T, S]
    return ((causal & real) | itself)[:, None]


class Decoder(nn.Module):
    """Embedding, layers, and a last norm."""

    theta: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config, number) for number in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_epsilon)
        self.register_buffer("theta", rope.frequencies(config), persistent=False)

    def forward(self, tokens: Tensor, padding: Tensor, cache: KeyValueCache | None) -> Tensor:
        """tokens: [B, T]; padding: [B]. Returns [B, T, E]."""
        new = tokens.shape[1]
        if cache is None:
            columns, width = torch.arange(new, device=tokens.device), new
        else:
            columns, width = cache.reserve(new, tokens.device)
        x: Tensor = self.embed_tokens(tokens)  # [B, T, E]
        # A row's text begins at position 0, wherever its first column is.
        positions = (columns - padding[:, None]).clamp(min=0)  # [B, T]
        turn = rope.angles(positions, self.theta, x.dtype)
        mask = visible(columns, padding, width)
        for layer in self.layers:
            x = layer(x, turn, mask, cache)
        out: Tensor = self.norm(x)
        return out


class LanguageModel(nn.Module):
    """Token ids to the logits of what follows each of them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)
        if config.tied:
            # Press and Wolf 2017 (arXiv 1608.05859): one matrix in, and the same out.
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(
        self, tokens: Tensor, padding: Tensor, cache: KeyValueCache | None = None, *, last_only: bool = False
    ) -> Tensor:
        """tokens: [B, T], of which each row's first `padding` ([B]) columns are none; with a cache, `tokens`
        are those right of what it holds. Returns [B, T, V]; with `last_only` the last column's, [B, 1, V].
        """
        x = self.model(tokens, padding, cache)
        out: Tensor = self.lm_head(x[:, -1:] if last_only else x)
        return out
