"""A decode step of one sequence on a CPU in one call of our own C++: `decode.cpp`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llmflame.lab.caches.static import StaticCache
from llmflame.lab.kernels.build import library
from llmflame.lab.variants.setup import Room, Step
from llmflame.scratch import rope

_KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2, torch.uint8: 3}
TOKENS = 8
"""That are computed at once: `decode.cpp` has it too."""
LONGEST_PROMPT = {torch.float32: 2 * TOKENS, torch.bfloat16: 64 * TOKENS}
"""Tokens that our C++ computes faster than torch's products of matrices, as far as was measured
(benchmarks/results/lab-prefill.md: two cores with AVX-512, without AMX). It reads weights once for `TOKENS`
of them; but torch's bfloat16 there takes five times as long for a short prompt."""
DTYPES = ("float32", "bfloat16")
"""Of a model; weights may be of fewer bits."""


class _Matrix(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weight", "scale", "offset", "bias")),
        *((name, ctypes.c_int32) for name in ("kind", "rows", "width", "unused")),
    ]


class _Layer(ctypes.Structure):
    _fields_ = [
        *((name, _Matrix) for name in ("qkv", "out", "gate_up", "down")),
        *((name, ctypes.c_void_p) for name in ("norm", "inner_norm", "q_norm", "k_norm", "keys", "values")),
    ]


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("embedding", "norm", "cosines", "sines", "layers")),
        *((name, ctypes.c_void_p) for name in ("x", "qkv", "mixed", "inner", "logits", "scores", "normal")),
        ("head", _Matrix),
        *((name, ctypes.c_int32) for name in ("kind", "count", "width", "inner_width", "heads", "kv_heads")),
        *((name, ctypes.c_int32) for name in ("dim", "capacity", "threads", "unused")),
        *((name, ctypes.c_float) for name in ("epsilon", "scale")),
    ]


class CpuStep:
    """A step of `scratch`'s decoder with fused projections, for one sequence and a static cache.

    Raises UsageError where the C++ can't be compiled, ValueError for a dtype that it doesn't know.
    """

    def __init__(self, room: Room) -> None:
        assert isinstance(room.cache, StaticCache)
        self._room, self._cache = room, room.cache
        self._kept: list[Any] = []
        """Memory that the C++ is given addresses of."""
        dtype = room.model.model.embed_tokens.weight.dtype
        if str(dtype).removeprefix("torch.") not in DTYPES:
            raise ValueError(f"the C++ step computes in {' and '.join(DTYPES)}, not in {dtype}")
        self._logits = torch.empty(1, TOKENS, room.model.config.vocabulary)
        self._chosen = torch.empty(1, TOKENS, dtype=torch.long)
        self._model = self._filled(dtype)
        self._step = library(Path(__file__).with_name("decode.cpp")).step
        self._step.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_void_p,
        ]
        self._step.restype = None

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens: [1, T]. Returns logits [1, T, V], float32, and ids [1, T].

        Both are overwritten by the next call where T is at most `TOKENS`.
        """
        blocks = torch.split(tokens, TOKENS, dim=1)
        if len(blocks) == 1:
            return self._run(tokens, tokens.shape[1])
        made = [tuple(part.clone() for part in self._run(block, block.shape[1])) for block in blocks]
        logits, chosen = (torch.cat(parts, dim=1) for parts in zip(*made, strict=True))
        return logits, chosen

    def last(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the last token alone, [1, 1, V] and [1, 1]: of a prompt no other is wanted."""
        blocks = torch.split(tokens, TOKENS, dim=1)
        for block in blocks[:-1]:
            self._run(block, 0)
        return self._run(blocks[-1], 1)

    def _run(self, tokens: Tensor, wanted: int) -> tuple[Tensor, Tensor]:
        """One block, and the logits of its last tokens."""
        given, position, count = tokens.contiguous(), int(self._cache.position), tokens.shape[1]
        model, chosen = ctypes.addressof(self._model), self._chosen.data_ptr()
        self._step(model, given.data_ptr(), count, wanted, position, chosen)
        self._cache.position.fill_(position + count)
        return self._logits[:, :wanted], self._chosen[:, :wanted]

    def _filled(self, dtype: torch.dtype) -> _Model:
        model, config = self._room.model, self._room.model.config
        decoder = model.model
        layers: Sequence[Any] = list(decoder.layers)
        made = (_Layer * config.layers)()
        for number, layer in enumerate(layers):
            attention, feed_forward = layer.self_attn, layer.mlp
            made[number] = _Layer(
                qkv=self._matrix(attention.qkv_proj),
                out=self._matrix(attention.o_proj),
                gate_up=self._matrix(feed_forward.gate_up_proj),
                down=self._matrix(feed_forward.down_proj),
                norm=self._floats(layer.input_layernorm.weight),
                inner_norm=self._floats(layer.post_attention_layernorm.weight),
                q_norm=self._floats(getattr(attention.q_norm, "weight", None)),
                k_norm=self._floats(getattr(attention.k_norm, "weight", None)),
                keys=self._cache.keys[number].data_ptr(),
                values=self._cache.values[number].data_ptr(),
            )
        self._kept.append(made)
        positions = torch.arange(self._cache.capacity)[None]
        cosines, sines = (part[0, 0] for part in rope.angles(positions, decoder.theta, dtype))
        queries, inner = config.heads * config.head_dim, config.inner_width
        threads = torch.get_num_threads()
        return _Model(
            embedding=decoder.embed_tokens.weight.data_ptr(),
            norm=self._floats(decoder.norm.weight),
            cosines=self._floats(cosines),
            sines=self._floats(sines),
            layers=ctypes.addressof(made),
            x=self._floats(torch.zeros(TOKENS, config.width)),
            qkv=self._floats(torch.zeros(TOKENS, queries + 2 * config.kv_heads * config.head_dim)),
            mixed=self._floats(torch.zeros(TOKENS, queries)),
            inner=self._floats(torch.zeros(TOKENS, inner)),
            logits=self._logits.data_ptr(),
            scores=self._floats(torch.zeros(threads, self._cache.capacity)),
            normal=self._floats(torch.zeros(threads, TOKENS, config.width + inner)),
            head=self._matrix(model.lm_head),
            kind=_KINDS[dtype],
            count=config.layers,
            width=config.width,
            inner_width=inner,
            heads=config.heads,
            kv_heads=config.kv_heads,
            dim=config.head_dim,
            capacity=self._cache.capacity,
            threads=threads,
            epsilon=config.norm_epsilon,
            scale=1 / math.sqrt(config.head_dim),
        )

    def _matrix(self, module: Any) -> _Matrix:
        """A linear layer, plain, of int8 or of int4."""
        weight = module.weight
        assert weight.is_contiguous()
        groups = getattr(module, "group_scale", None)
        return _Matrix(
            weight=weight.data_ptr(),
            scale=self._floats(getattr(module, "scale", None) if groups is None else groups),
            offset=self._floats(getattr(module, "offset", None)),
            bias=self._floats(module.bias),
            kind=_KINDS[weight.dtype],
            rows=weight.shape[0],
            width=weight.shape[1] * (1 if groups is None else 2),
        )

    def _floats(self, tensor: Tensor | None) -> int | None:
        """The address of a float32 copy, or of the tensor itself if it is one; null for none."""
        if tensor is None:
            return None
        made = tensor.detach().float().contiguous()
        self._kept.append(made)
        return made.data_ptr()


class CpuPrompt:
    """A prompt by the same C++, where that is faster than torch's products of matrices, else by `others`."""

    def __init__(self, room: Room, others: Step) -> None:
        self._step, self._others, self._cache = CpuStep(room), others, room.cache
        self._longest = LONGEST_PROMPT[room.model.model.embed_tokens.weight.dtype]

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens: [1, T]. Returns what follows the last of them: logits [1, 1, V] and the id [1, 1]."""
        if tokens.shape[1] > self._longest:
            return self._others(tokens)
        assert isinstance(self._cache, StaticCache)
        self._cache.advance(tokens.shape[1])
        return self._step.last(tokens)
