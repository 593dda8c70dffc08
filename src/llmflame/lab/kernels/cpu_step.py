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
"""Of a step at most: `decode.cpp` has it too."""
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

    Steps of more than `TOKENS` tokens are left to `others`. Raises UsageError where the C++
    can't be compiled, ValueError for a dtype that it doesn't know.
    """

    def __init__(self, room: Room, others: Step) -> None:
        assert isinstance(room.cache, StaticCache)
        self._room, self._cache, self._others = room, room.cache, others
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
            ctypes.c_void_p,
        ]
        self._step.restype = None

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens: [1, T]. Returns logits [1, T, V], float32, and ids [1, T], both overwritten by the next."""
        count = tokens.shape[1]
        if count > TOKENS:
            return self._others(tokens)
        given, position = tokens.contiguous(), int(self._cache.position)
        self._step(ctypes.addressof(self._model), given.data_ptr(), count, position, self._chosen.data_ptr())
        self._cache.position.fill_(position + count)
        return self._logits[:, :count], self._chosen[:, :count]

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
