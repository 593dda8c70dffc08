"""What the model asks of a cache is enough for one that never grows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from llmflame.scratch import generate
from llmflame.scratch.cache import DynamicCache
from llmflame.scratch.checkpoint import load
from llmflame.scratch.tokenizer import pad
from tests.scratch import small

CAPACITY = 40
PROMPTS = [[5, 6, 7, 8], [9, 10], [11]]


class FixedCache:
    """All columns from the beginning, filled with what would be seen if the mask let it."""

    def __init__(self, rows: int, layers: int, heads: int, head_dim: int) -> None:
        self.kept = torch.full((2, layers, rows, heads, CAPACITY, head_dim), 1e4)
        self.columns = torch.arange(0)

    def reserve(self, new: int, device: torch.device) -> tuple[Tensor, int]:
        begin = int(self.columns[-1]) + 1 if len(self.columns) else 0
        self.columns = torch.arange(begin, begin + new, device=device)
        return self.columns, CAPACITY

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.kept[0, layer].index_copy_(2, self.columns, keys)
        self.kept[1, layer].index_copy_(2, self.columns, values)
        return self.kept[0, layer], self.kept[1, layer]


@pytest.mark.parametrize("config", [small.LLAMA, small.QWEN3], ids=["llama", "qwen3"])
def test_a_cache_of_fixed_size_gives_the_same_tokens(config: dict[str, int], tmp_path: Path) -> None:
    small.write(tmp_path, config)
    model = load(tmp_path)
    fixed = FixedCache(len(PROMPTS), model.config.layers, model.config.kv_heads, model.config.head_dim)
    found = [
        torch.stack(list(generate.cached(model, pad(PROMPTS), 20, cache=cache))).tolist()
        for cache in (fixed, DynamicCache())
    ]
    assert found[0] == found[1]


def test_a_dynamic_cache_holds_what_it_was_given() -> None:
    cache = DynamicCache()
    given = torch.randn(2, 1, 3, 5, 4)
    widths = []
    for part in (given[..., :2, :], given[..., 2:, :]):
        columns, width = cache.reserve(part.shape[3], torch.device("cpu"))
        widths.append((columns.tolist(), width))
        keys, values = cache.update(0, part[0], part[1])
    assert widths == [([0, 1], 2), ([2, 3, 4], 5)]
    assert torch.equal(keys, given[0]) and torch.equal(values, given[1])
