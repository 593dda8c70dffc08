"""The few sizes of a decoder that its memory follows from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_WINDOWS = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
_INTERMEDIATE = ("intermediate_size", "n_inner", "ffn_dim")


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder of attention and a gated MLP."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    tied: bool
    sliding_layers: int = 0
    window: int | None = None
    """Tokens that a sliding layer sees."""


def shape_of(config: Any) -> Shape | None:
    """The sizes of a transformers config; None where it doesn't name them (a state-space model)."""
    config = text_config(config)
    heads = _number(config, "num_attention_heads")
    hidden, layers = _number(config, "hidden_size"), _number(config, "num_hidden_layers")
    vocabulary = _number(config, "vocab_size")
    if not (heads and hidden and layers and vocabulary):
        return None
    sliding, window = _sliding(config, layers)
    return Shape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=_number(config, "num_key_value_heads") or heads,
        head_size=_number(config, "head_dim") or hidden // heads,
        intermediate=next((n for name in _INTERMEDIATE if (n := _number(config, name))), 4 * hidden),
        vocabulary=vocabulary,
        tied=bool(getattr(config, "tie_word_embeddings", False)),
        sliding_layers=sliding,
        window=window,
    )


def text_config(config: Any) -> Any:
    """A model that also sees or hears keeps its language model's shape in a config of its own."""
    inner = getattr(config, "get_text_config", None)
    if inner is None:
        return config
    try:
        return inner(decoder=True)
    except ValueError:  # more than one: whose it is, it doesn't say
        return config


def most_tokens(config: Any) -> int | None:
    """The longest sequence that the config allows; None where it doesn't say."""
    config = text_config(config)
    return _number(config, "max_position_embeddings") or _number(config, "n_positions")


def _number(config: Any, name: str) -> int | None:
    value = getattr(config, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _sliding(config: Any, layers: int) -> tuple[int, int | None]:
    """How many layers keep a window of tokens only, and its length, as transformers' cache decides it."""
    kinds = getattr(config, "layer_types", None)
    for kind, name in _WINDOWS.items():
        window = _number(config, name)
        if window:
            found = layers if kinds is None else sum(one == kind for one in kinds)
            if found:
                return found, window
    return 0, None
