"""A request on tensors without data: prefill and the last decode step, with every allocation counted."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

from llmflame.planning.attention import AttentionWithoutScores, Kernels
from llmflame.planning.caching_allocator import CachingAllocator
from llmflame.planning.process import workspace
from llmflame.planning.request import Footprint, Peak, Request, Reserved
from llmflame.planning.storages import StorageMeter, live_at_peak

LOADED, WORKSPACE = -1, -2
"""Blocks of the allocator that are no tensor's."""
_DEPTH = 6
"""A cache object holds its tensors no deeper than this."""


def simulate(model: Any, request: Request, kernels: Kernels, reserved_bytes: int | None = None) -> Footprint:
    """Run the request on a model of the meta device and count. Raises whatever the model's code raises.

    `reserved_bytes` are what the device's allocator had taken when the model was loaded, if that is known.

    As `generate` runs it greedily: logits of the last position only, converted to float32, the scores kept
    until the next step's replace them. No mask: the model makes what its attention needs.
    """
    run = _Run(model, request, kernels, reserved_bytes)
    try:
        return run.footprint()
    finally:
        run.close()


def tensors_in(value: object, depth: int = _DEPTH) -> Iterator[torch.Tensor]:
    """All tensors that an object holds in its attributes, lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
        return
    if depth == 0 or isinstance(value, str | bytes | int | float | type(None) | type | torch.dtype):
        return
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, list | tuple | set):
        parts = value
    elif hasattr(value, "__dict__"):
        parts = vars(value).values()
    for part in parts:
        yield from tensors_in(part, depth - 1)


class _Run:
    """One request and its meter."""

    def __init__(self, model: Any, request: Request, kernels: Kernels, reserved_bytes: int | None) -> None:
        self._model, self._request, self._kernels = model, request, kernels
        self._reserved_bytes = reserved_bytes
        self._accepted = set(inspect.signature(model.forward).parameters)
        self._meter = StorageMeter([*model.parameters(), *model.buffers()])
        self._hooks = self._meter.attach(model)

    def close(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()

    def footprint(self) -> Footprint:
        """Prefill, then the last decode step beside a cache of its length."""
        request, meter = self._request, self._meter
        with torch.no_grad(), AttentionWithoutScores(self._kernels):
            with meter:
                inputs = self._inputs(request.prompt_tokens)
                cache = self._new_cache(request.prompt_tokens + request.new_tokens)
                scores, cache, logits = self._step(inputs[0], inputs[-1], cache)
            kept = meter.identities(tensors_in(cache))
            prefill = self._peak(0, kept, logits)
            kv_prefill = meter.bytes_of(kept)
            del inputs
            if request.cached_tokens > request.prompt_tokens + 1 and not request.static_cache:
                del cache
                # How the cache grew in between is not counted: a step leaves nothing else behind.
                cache = self._longer_cache(request.cached_tokens - 1)
                meter.adopt(tensors_in(cache))
                kept = meter.identities(tensors_in(cache))
            with meter:
                inputs = self._inputs(request.cached_tokens)
                begin = len(meter.events)
                last, cache, logits = self._step(inputs[0][:, -1:], inputs[-1][:, -1:], cache)
            after = meter.identities(tensors_in(cache))
            decode = self._peak(begin, kept | after, logits)
            del scores, last
            return Footprint(
                prefill=prefill,
                decode=decode,
                kv_bytes=meter.bytes_of(after),
                kv_bytes_per_token=kv_prefill / (request.batch * request.prompt_tokens),
                method="simulation",
                reserved=self._reserved(begin) if self._kernels.device_kind == "cuda" else None,
            )

    def _reserved(self, decode: int) -> Reserved:
        """The same tensors through the rules of a device's allocator; decode begins at event `decode`."""
        allocator = CachingAllocator()
        if self._reserved_bytes is not None:
            # One free segment stands for those that the load left.
            allocator.allocate(LOADED, self._reserved_bytes)
            allocator.release(LOADED)
        held = (*self._model.parameters(), *self._model.buffers())
        for number, size in {id(tensor): tensor.nbytes for tensor in held}.items():
            allocator.allocate(number, size)
        load = allocator.reserved_bytes
        allocator.allocate(WORKSPACE, workspace(self._kernels.capability).bytes)
        events = self._meter.events
        allocator.follow(events[:decode])
        prefill = allocator.reserved_bytes
        allocator.follow(events[decode:])
        return Reserved(load, prefill, allocator.reserved_bytes)

    def _inputs(self, tokens: int) -> list[torch.Tensor]:
        """Token ids, attention mask and position ids, as `generate` holds them during a step."""
        return [self._numbers(tokens) for _ in range(3)]

    def _numbers(self, tokens: int) -> torch.Tensor:
        return torch.empty(self._request.batch, tokens, dtype=torch.int64, device="meta")

    def _new_cache(self, tokens: int) -> Any:
        if not self._request.static_cache:
            return None
        from transformers import StaticCache

        return StaticCache(config=self._model.config, max_cache_len=tokens)

    def _step(
        self, ids: torch.Tensor, positions: torch.Tensor, cache: Any
    ) -> tuple[torch.Tensor, Any, set[int]]:
        """One call of the model and the choice of its token: the scores, the cache, the logits' storages."""
        options: dict[str, Any] = {"use_cache": True}
        if "position_ids" in self._accepted:
            options["position_ids"] = positions
        if "logits_to_keep" in self._accepted:
            options["logits_to_keep"] = 1
        if cache is not None:
            options["past_key_values"] = cache
        output = self._model(input_ids=ids, **options)
        logits = self._meter.identities([output.logits])
        scores = output.logits[:, -1].to(copy=True, dtype=torch.float32)
        scores.argmax(dim=-1)
        held = getattr(output, "past_key_values", None)
        return scores, held if held is not None else getattr(output, "cache_params", None), logits

    def _longer_cache(self, tokens: int) -> Any:
        """The cache that the last step finds: made by a prefill and a step, which cuts what slides out."""
        ids = self._numbers(tokens)
        _, cache, _ = self._step(ids[:, 1:], ids[:, 1:], None)
        return self._step(ids[:, :1], ids[:, :1], cache)[1]

    def _peak(self, begin: int, cache: set[int], logits: set[int]) -> Peak:
        meter = self._meter
        live = live_at_peak(meter.events, begin, len(meter.events))
        amounts = {"kv_cache": 0, "activations": 0, "temporaries": 0, "tensors": 0, "logits": 0}
        for identity, size in live.items():
            if identity in cache:
                amounts["kv_cache"] += size
            elif identity in meter.outside:
                amounts["tensors"] += size
            elif identity in meter.survivors:
                amounts["activations"] += size
                amounts["logits"] += size if identity in logits else 0
            else:
                amounts["temporaries"] += size
        return Peak(**amounts)
