"""Generation, one token a step: naively, and with a KV cache. Both give the same tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from llmflame.scratch.cache import DynamicCache, KeyValueCache
from llmflame.scratch.model import LanguageModel
from llmflame.scratch.sampling import Sampler, greedy
from llmflame.scratch.tokenizer import Batch


@torch.inference_mode()
def naive(model: LanguageModel, batch: Batch, new_tokens: int, sample: Sampler = greedy) -> Iterator[Tensor]:
    """The reference: everything is computed anew for each token. Yields [B], `new_tokens` times."""
    tokens = batch.tokens  # [B, T]
    for _ in range(new_tokens):
        logits = model(tokens, batch.padding)  # [B, T, V]
        chosen = sample(logits[:, -1])  # [B]
        yield chosen
        tokens = torch.cat((tokens, chosen[:, None]), dim=1)  # [B, T + 1]


@torch.inference_mode()
def cached(
    model: LanguageModel,
    batch: Batch,
    new_tokens: int,
    sample: Sampler = greedy,
    cache: KeyValueCache | None = None,
) -> Iterator[Tensor]:
    """The prompt once, then one token a step. Yields as `naive`. `cache` is an empty one."""
    cache = DynamicCache() if cache is None else cache
    tokens = batch.tokens  # [B, T] at first, [B, 1] from then on
    for _ in range(new_tokens):
        logits = model(tokens, batch.padding, cache, last_only=True)  # [B, 1, V]
        chosen = sample(logits[:, -1])  # [B]
        yield chosen
        tokens = chosen[:, None]


def stream(steps: Iterator[Tensor], stop_ids: Collection[int]) -> Iterator[list[int | None]]:
    """Token ids on the host, a list of B a step; None for a row that has ended. Ends when all rows have.

    The token that ends a row is still given. Reading a token waits for the device.
    """
    ended: set[int] = set()
    for chosen in steps:
        ids = chosen.tolist()
        yield [None if row in ended else token for row, token in enumerate(ids)]
        ended |= {row for row, token in enumerate(ids) if token in stop_ids}
        if len(ended) == len(ids):
            return
