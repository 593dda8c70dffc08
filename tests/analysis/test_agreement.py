"""Whether outputs agree, by class and dtype: the numbers are given, the verdict is asked."""

from __future__ import annotations

from typing import Any

import pytest

from llmflame.analysis.experiment import agreement as names
from llmflame.analysis.experiment.agreement import judge, tokens_decide

SAME: dict[str, float | None] = {
    names.TOKENS: 128.0,
    names.TOKENS_EQUAL: 128.0,
    names.FIRST_DIVERGENCE: None,
    names.POSITIONS: 128.0,
    names.MAX_DELTA: 1e-4,
    names.MAX_LOGIT: 20.0,
    names.MEAN_KL: 1e-9,
    names.TOP_1: 1.0,
    names.PERPLEXITY: 20.0,
    names.STOCK_PERPLEXITY: 20.0,
    names.ERROR: 0.2,
    names.STOCK_ERROR: 0.15,
    names.ERROR_KL: 1e-4,
    names.STOCK_ERROR_KL: 1e-4,
    names.RANDOM_WEIGHTS: 0.0,
}
OTHER_TOKEN = {names.TOKENS_EQUAL: 127.0, names.FIRST_DIVERGENCE: 127.0}
RANDOM = {names.RANDOM_WEIGHTS: 1.0}
NO_LOGITS: dict[str, float | None] = {names.POSITIONS: None, names.MAX_DELTA: None, names.MAX_LOGIT: None}


@pytest.mark.parametrize(
    ("equality", "dtype", "changed", "verdict"),
    [
        ("equivalent", "float32", {}, "agrees"),
        ("equivalent", "float32", OTHER_TOKEN, "disagrees"),
        ("equivalent", "float32", {names.MAX_DELTA: 0.03}, "disagrees"),
        ("equivalent", "float32", NO_LOGITS, "agrees"),
        ("equivalent", "float32", {**OTHER_TOKEN, **RANDOM}, "agrees"),
        ("equivalent", "float32", {**RANDOM, names.MAX_DELTA: 0.03}, "disagrees"),
        ("equivalent", "float32", {**RANDOM, **NO_LOGITS}, "disagrees"),
        ("equivalent", "float32", {names.MAX_DELTA: None}, "disagrees"),  # NaN, or other shapes
        ("bitwise", "float32", {}, "disagrees"),
        ("bitwise", "float32", {names.MAX_DELTA: 0.0}, "agrees"),
        ("bitwise", "bfloat16", {names.MAX_DELTA: 0.0, **OTHER_TOKEN}, "disagrees"),
        ("equivalent", "bfloat16", {**OTHER_TOKEN, names.MAX_DELTA: 0.2}, "agrees"),
        ("equivalent", "bfloat16", {names.ERROR: 0.31}, "disagrees"),
        ("equivalent", "bfloat16", {names.ERROR_KL: 3e-4}, "disagrees"),
        ("equivalent", "bfloat16", {names.ERROR: None}, "agrees"),
        ("equivalent", "bfloat16", {names.ERROR: None, names.MAX_DELTA: 2.0}, "disagrees"),
        ("equivalent", "bfloat16", {names.ERROR: None, names.MEAN_KL: 0.02}, "disagrees"),
        ("equivalent", "bfloat16", NO_LOGITS, "disagrees"),
        ("approximate", "float32", {**OTHER_TOKEN, names.MAX_DELTA: 3.0, names.MEAN_KL: 0.05}, "agrees"),
        ("approximate", "float32", {names.MEAN_KL: 0.2}, "disagrees"),
        ("approximate", "bfloat16", {names.PERPLEXITY: 22.5}, "disagrees"),
        ("approximate", "bfloat16", {names.MEAN_KL: None}, "disagrees"),
    ],
)
def test_the_verdict(equality: Any, dtype: str, changed: dict[str, float | None], verdict: str) -> None:
    found = judge(equality, dtype, {**SAME, **changed})
    assert found.verdict == verdict, found.words
    assert found.words and "nan" not in found.words


def test_what_was_not_compared_is_neither() -> None:
    assert judge("equivalent", "float32", {}).verdict == "unchecked"


def test_where_tokens_differ_the_words_say_where() -> None:
    assert (
        "1 of 128 tokens differ, from token 127"
        in judge("equivalent", "float32", {**SAME, **OTHER_TOKEN}).words
    )


def test_every_process_must_give_the_tokens_only_where_they_are_promised() -> None:
    assert tokens_decide("equivalent", "float32", SAME)
    assert tokens_decide("bitwise", "bfloat16", SAME)
    assert not tokens_decide("equivalent", "bfloat16", SAME)
    assert not tokens_decide("approximate", "float32", SAME)
    assert not tokens_decide("equivalent", "float32", {**SAME, **RANDOM})
