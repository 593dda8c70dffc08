"""What reading the key/value cache must move, predicted from the model's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflame.store.rows import SpanRow


def kv_bytes_read(subject: Mapping[str, Any], steps: Sequence[SpanRow]) -> float | None:
    """Bytes of keys and values that attention reads over these steps; None where the config names no heads.

    Each layer reads the cache once a step: 2 x kv heads x head size x bytes an element for every token of
    every sequence, the step's own included. A sliding window reads no more than its tokens.
    """
    per_token, layers = _amount(subject, "kv_layer_bytes_per_token"), _amount(subject, "layers")
    batch = _amount(subject, "batch_size") or 1
    if per_token is None or layers is None:
        return None
    sliding = _amount(subject, "kv_sliding_layers") or 0
    window = _amount(subject, "kv_sliding_window")
    total = 0.0
    for step in steps:
        tokens = (step.kv_tokens or 0) + (step.tokens or 0) / batch
        kept = min(tokens, window) if window else tokens
        total += per_token * batch * ((layers - sliding) * tokens + sliding * kept)
    return total


def _amount(subject: Mapping[str, Any], name: str) -> float | None:
    """What a profile says is a number is one, if it is more than nothing."""
    value = subject.get(name)
    return value if isinstance(value, int | float) and value > 0 else None
