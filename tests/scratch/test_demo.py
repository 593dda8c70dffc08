"""The demo model, trained and so with logits that differ: the same tokens as transformers'.

benchmarks/scratch_check.py compares more: every prompt alone too, and two real shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from llmflame.scratch import generate
from llmflame.scratch.checkpoint import load
from llmflame.scratch.model import LanguageModel
from llmflame.scratch.tokenizer import Batch, Tokenizer, pad
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve
from tests.scratch.prompts import PROMPTS

pytestmark = pytest.mark.demo

NEW_TOKENS = 128
NAIVE_TOKENS = 16
LOGIT_BAR = 1e-3


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve("demo", progress=silent).folder


@pytest.fixture(scope="module")
def ours(folder: Path) -> LanguageModel:
    return load(folder, "float32")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def prompts(folder: Path) -> list[list[int]]:
    tokenizer = Tokenizer(folder)
    return [tokenizer.encode(prompt) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def expected(theirs: Any, prompts: list[list[int]]) -> list[list[int]]:
    """transformers' greedy tokens, all prompts in one batch: it reads the weights once a step for all."""
    batch = pad(prompts)
    width = batch.tokens.shape[1]
    rows = theirs.generate(
        batch.tokens,
        attention_mask=(torch.arange(width) >= batch.padding[:, None]).long(),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    found: list[list[int]] = rows[:, width:].tolist()
    return found


def tokens(steps: Any) -> list[list[int]]:
    found: list[list[int]] = torch.stack(list(steps), dim=1).tolist()
    return found


def test_prompts_have_transformers_ids(folder: Path, prompts: list[list[int]]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert prompts == [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]


def test_logits(ours: LanguageModel, theirs: Any, prompts: list[list[int]]) -> None:
    with torch.inference_mode():
        for prompt in prompts:
            batch = pad([prompt])
            delta = ours(batch.tokens, batch.padding) - theirs(batch.tokens).logits
            assert delta.abs().max() <= LOGIT_BAR


def test_tokens_in_batches_of_four(
    ours: LanguageModel, prompts: list[list[int]], expected: list[list[int]]
) -> None:
    batches: list[Batch] = [pad(prompts[:4]), pad(prompts[4:])]
    assert [row for one in batches for row in tokens(generate.cached(ours, one, NEW_TOKENS))] == expected


@pytest.mark.parametrize("number", [0, 6])
def test_tokens_of_one_prompt(
    ours: LanguageModel, prompts: list[list[int]], expected: list[list[int]], number: int
) -> None:
    """And without a cache, as far as that is quick."""
    batch = pad([prompts[number]])
    found = tokens(generate.cached(ours, batch, NEW_TOKENS))
    assert found == [expected[number]]
    assert tokens(generate.naive(ours, batch, NAIVE_TOKENS)) == [found[0][:NAIVE_TOKENS]]
