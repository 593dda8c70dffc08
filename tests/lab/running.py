"""Runners of small models for tests: what a stack of variants generates, and its logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from llmflame.lab.scratch_runner import ScratchRunner
from llmflame.lab.variants.registry import chosen
from llmflame.lab.variants.setup import ScratchSetup
from llmflame.scratch.checkpoint import load
from tests.scratch import small

PROMPT = (5, 6, 7, 8, 9, 11, 12, 5, 6, 7)
"""Its ending stood before, so that there is something to look up."""
NEW_TOKENS = 16
WIDE = {**small.LLAMA, "hidden_size": 128, "intermediate_size": 256, "head_dim": 32}
"""Rows that are whole groups of 4-bit weights, and whole vectors of 8-bit ones."""


def runner(
    folder: Path,
    names: Sequence[str],
    *,
    batch: int = 1,
    dtype: str = "float32",
    device: str = "cpu",
    prompt_tokens: int = len(PROMPT),
) -> ScratchRunner:
    """The scratch engine with these variants on the checkpoint of a folder."""
    setup = ScratchSetup(device, dtype, batch, None, prompt_tokens, NEW_TOKENS)
    for variant in chosen(names):
        variant.apply["scratch"](setup)
    model = (setup.load or load)(folder, setup.dtype, device)
    setup.apply_changes(model)
    drafter = setup.speculate(model, folder) if setup.speculate else None
    return ScratchRunner(setup, model, prompt_tokens + NEW_TOKENS, drafter)


def prompt(batch: int, device: str = "cpu") -> Tensor:
    """[batch, tokens]: rows that differ."""
    rows = [[(token + row) % 250 for token in PROMPT] for row in range(batch)]
    return torch.tensor(rows, device=device)


def generated(one: ScratchRunner, batch: int = 1, device: str = "cpu") -> Tensor:
    """[batch, NEW_TOKENS]"""
    rows: list[list[int]] = [[] for _ in range(batch)]

    def arrived(ids: list[list[int]]) -> None:
        for row, fresh in zip(rows, ids, strict=True):
            row += fresh

    one.request(prompt(batch, device), NEW_TOKENS, arrived)
    return torch.tensor(rows)


def forced(one: ScratchRunner, ids: Tensor) -> Tensor:
    """[batch, tokens, V]"""
    return torch.cat(list(one.forced(ids, len(PROMPT))), dim=1)
