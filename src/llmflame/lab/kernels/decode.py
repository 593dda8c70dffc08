"""A decode step of one sequence in five kernels a layer."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from llmflame.lab.caches.static import StaticCache
from llmflame.lab.kernels import attention, ends
from llmflame.lab.kernels.gemv import gemv
from llmflame.lab.kernels.gemv4 import gemv4
from llmflame.lab.kernels.tuning import SPANS, Span, Tiles, best, candidates
from llmflame.lab.variants.setup import Room, Step
from llmflame.scratch import rope

_EMBED_BLOCK = 1024
_PART = 1024
"""Logits that one program looks through."""
_COLUMNS_OF_A_SPLIT = 256
"""Columns of the cache below which another program for them doesn't pay."""
_LAUNCHES_AHEAD = (9, 0)
"""Compute capability from which a kernel can be launched before the one in front of it has ended."""
_PROGRAMS = 264
"""More splits than fill a large GPU twice make work for the joining alone."""


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix with what stands before and after it."""

    weight: Tensor
    """[N, K]; int8 with `scale` [N]; int32 [N, K / 8] of 4 bits each with `group_scale` and `offset`."""
    scale: Tensor | None = None
    group_scale: Tensor | None = None
    offset: Tensor | None = None
    bias: Tensor | None = None
    norm: Tensor | None = None
    """[K], of an RMSNorm before it."""
    gated: bool = False

    @property
    def outputs(self) -> int:
        """N, or half of it where gate and up become one."""
        return self.weight.shape[0] // 2 if self.gated else self.weight.shape[0]

    @property
    def bits(self) -> int:
        """Of a weight."""
        return 4 if self.group_scale is not None else self.weight.element_size() * 8

    @property
    def inputs(self) -> int:
        """K"""
        return self.weight.shape[1] * (1 if self.group_scale is None else 8)


def product(module: Any, norm: Any = None, *, gated: bool = False) -> Product:
    """That of a linear layer, plain, of int8 or of int4."""
    group_scale = getattr(module, "group_scale", None)
    return Product(
        weight=module.weight if group_scale is None else module.weight.view(torch.int32),
        scale=getattr(module, "scale", None),
        group_scale=group_scale,
        offset=getattr(module, "offset", None),
        bias=module.bias,
        norm=None if norm is None else norm.weight,
        gated=gated,
    )


class KernelStep:
    """A step of `scratch`'s decoder with fused projections, for one sequence and a static cache.

    Steps of several tokens, which speculation makes, are left to `others`.
    """

    def __init__(self, room: Room, others: Step, *, tune: bool) -> None:
        assert isinstance(room.cache, StaticCache)
        model, cache = room.model, room.cache
        decoder = model.model
        self.config, self.cache, self._others = model.config, cache, others
        self._embedding = decoder.embed_tokens.weight
        self._layers: list[Any] = list(decoder.layers)
        self.products: dict[str, list[Product]] = {
            "qkv": [product(one.self_attn.qkv_proj, one.input_layernorm) for one in self._layers],
            "out": [product(one.self_attn.o_proj) for one in self._layers],
            "gate_up": [
                product(one.mlp.gate_up_proj, one.post_attention_layernorm, gated=True)
                for one in self._layers
            ],
            "down": [product(one.mlp.down_proj) for one in self._layers],
            "head": [product(model.lm_head, decoder.norm)],
        }
        self._cosines, self._sines = self._turns(decoder.theta)
        self._make_buffers()
        self._ahead = torch.cuda.is_available() and torch.cuda.get_device_capability() >= _LAUNCHES_AHEAD
        self.span, self.tiles = self._tuned() if tune else self._first()

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens: [1, T]. Returns logits [1, T, V] and ids [1, T]; of one token they are used again."""
        if tokens.shape[1] != 1:
            return self._others(tokens)
        width = self.config.width
        ends.embed[(triton.cdiv(width, _EMBED_BLOCK),)](
            tokens, self._embedding, self._x, self.cache.position, width, _EMBED_BLOCK, self._ahead
        )
        for number in range(self.config.layers):
            self._layer(number)
        self._run("head", 0, self._x, self._logits)
        parts = triton.cdiv(self.config.vocabulary, _PART)
        ends.best_of_parts[(parts,)](
            self._logits, self._peaks, self._places, self.config.vocabulary, _PART, self._ahead,
            **self._launched,
        )  # fmt: skip
        ends.best[(1,)](
            self._peaks, self._places, self._chosen, parts, triton.next_power_of_2(parts), self._ahead,
            **self._launched,
        )  # fmt: skip
        return self._logits.view(1, 1, -1), self._chosen

    def _layer(self, number: int) -> None:
        self._run("qkv", number, self._x, self._qkv)
        self._attend(number)
        self._run("out", number, self._mixed, self._x, self._x)
        self._run("gate_up", number, self._x, self._inner)
        self._run("down", number, self._inner, self._x, self._x)

    def _run(self, kind: str, number: int, x: Tensor, out: Tensor, residual: Tensor | None = None) -> None:
        self._launch(self.products[kind][number], self.tiles[kind], x, out, residual)

    def _launch(
        self, one: Product, tiles: Tiles, x: Tensor, out: Tensor, residual: Tensor | None = None
    ) -> None:
        def or_any(tensor: Tensor | None) -> Tensor:
            """A pointer that isn't read must still be one."""
            return x if tensor is None else tensor

        before = (x, or_any(one.norm), one.weight)
        length, epsilon = one.weight.shape[1], self.config.norm_epsilon
        after = (or_any(one.bias), or_any(residual), out, one.outputs, length, epsilon)
        shape: dict[str, Any] = {
            "NORM": one.norm is not None, "BIAS": one.bias is not None, "RESIDUAL": residual is not None,
            "GATED": one.gated, "AHEAD": self._ahead, "ROWS": tiles.rows, "WIDTH": tiles.width,
            "STAGES": tiles.stages, "num_warps": tiles.warps, **self._launched,
        }  # fmt: skip
        grid = (triton.cdiv(one.outputs, tiles.rows),)
        if one.group_scale is not None:
            gemv4[grid](*before, one.group_scale, one.offset, *after, **shape)
        else:
            gemv[grid](*before, or_any(one.scale), *after, **shape, SCALED=one.scale is not None)

    def _attend(self, number: int, span: Span | None = None) -> None:
        config, splits, span = self.config, self._splits, span or self.span
        module = self._layers[number].self_attn
        norms = [getattr(norm, "weight", self._qkv) for norm in (module.q_norm, module.k_norm)]
        out = self._mixed if splits == 1 else self._parts
        attention.attend[(config.kv_heads, splits)](
            self._qkv, *norms, self._cosines, self._sines, self.cache.position,
            self.cache.keys[number], self.cache.values[number], out, self._tops, self._sums,
            self.cache.capacity, config.norm_epsilon, 1 / math.sqrt(config.head_dim),
            HEADS=config.heads, KV_HEADS=config.kv_heads,
            GROUP=triton.next_power_of_2(config.heads // config.kv_heads),
            DIM=config.head_dim, HALF=config.head_dim // 2, COLUMNS=span.columns, SPLITS=splits,
            NORM=config.qk_norm, AHEAD=self._ahead, num_warps=span.warps, **self._launched,
        )  # fmt: skip
        if splits > 1:
            attention.join[(config.heads,)](
                self._parts, self._tops, self._sums, self._mixed,
                HEADS=config.heads, DIM=config.head_dim, SPLITS=splits,
                PADDED=triton.next_power_of_2(splits), AHEAD=self._ahead, **self._launched,
            )  # fmt: skip

    def _turns(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of every position, [capacity, D / 2], rounded as the model rounds them."""
        positions = torch.arange(self.cache.capacity, device=theta.device)[None]
        cosine, sine = rope.angles(positions, theta, self._embedding.dtype)
        return cosine[0, 0].float().contiguous(), sine[0, 0].float().contiguous()

    def _make_buffers(self) -> None:
        config = self.config
        self._splits = max(1, min(self.cache.capacity // _COLUMNS_OF_A_SPLIT, _PROGRAMS // config.kv_heads))

        def empty(*shape: int, dtype: torch.dtype = self._embedding.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=self._embedding.device)

        queries = config.heads * config.head_dim
        self._x = empty(config.width)
        self._qkv = empty(queries + 2 * config.kv_heads * config.head_dim).zero_()
        self._mixed, self._inner = empty(queries), empty(config.inner_width)
        self._logits, self._chosen = empty(config.vocabulary), empty(1, 1, dtype=torch.long)
        parts = triton.cdiv(config.vocabulary, _PART)
        self._peaks, self._places = empty(parts, dtype=torch.float32), empty(parts, dtype=torch.int32)
        self._parts = empty(self._splits, queries, dtype=torch.float32)
        self._tops = empty(self._splits, config.heads, dtype=torch.float32)
        self._sums = empty(self._splits, config.heads, dtype=torch.float32)

    @property
    def _launched(self) -> dict[str, Any]:
        """How a kernel that waits for the one in front of it by itself is launched."""
        return {"launch_pdl": True} if self._ahead else {}

    def _first(self) -> tuple[Span, dict[str, Tiles]]:
        return SPANS[0], {kind: candidates(group[0].bits)[0] for kind, group in self.products.items()}

    def _tuned(self) -> tuple[Span, dict[str, Tiles]]:
        tiles = {
            kind: best(functools.partial(self._run_all, group), candidates(group[0].bits))
            for kind, group in self.products.items()
        }
        position = self.cache.position.clone()
        self.cache.position.fill_(self.cache.capacity)
        # The column that this writes is of zeros, as it was: queries, keys and values are zero until a step.
        span = best(self._attend_in_all, SPANS)
        self.cache.position.copy_(position)
        return span, tiles

    def _attend_in_all(self, span: Span) -> None:
        for number in range(self.config.layers):
            self._attend(number, span)

    def _run_all(self, group: list[Product], tiles: Tiles) -> None:
        """Every layer's product of one kind: together they are too large for a cache to hold."""
        for one in group:
            x = torch.empty(one.inputs, dtype=self._x.dtype, device=self._x.device)
            out = torch.empty(one.outputs, dtype=self._x.dtype, device=self._x.device)
            self._launch(one, tiles, x, out, None)
