"""The shape of a model, from config.json in the Hugging Face hub's layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflame.scratch.errors import CheckpointError

SUPPORTED = ("LlamaForCausalLM", "Qwen3ForCausalLM")
"""SmolLM2 and Llama 3.x are the first, Qwen3's dense models the second."""
QWEN3 = "Qwen3ForCausalLM"
_DEFAULT_ROPE_BASE = 10_000.0
"""Su et al. 2021 (RoFormer, arXiv 2104.09864), section 3.2.2."""
_DEFAULT_NORM_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How Llama 3.1 stretches slow rotations to a longer context; `rope.py` has the formula."""

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_context: int
    """Tokens that the model was first trained with."""


@dataclass(frozen=True, slots=True)
class Config:
    """One decoder. The letters are those of all shapes in this package."""

    vocabulary: int
    """V"""
    width: int
    """E, of the residual stream."""
    inner_width: int
    """F, of the feed-forward network."""
    layers: int
    heads: int
    """H, of queries."""
    kv_heads: int
    """K, of keys and values; H / K queries share one."""
    head_dim: int
    """D; not always E / H."""
    context: int
    """Tokens that the model can look at."""
    norm_epsilon: float
    rope_base: float
    rope_scaling: RopeScaling | None
    tied: bool
    """Whether the output layer is the embedding."""
    qk_norm: bool
    """Whether queries and keys are normalised head by head (Qwen3)."""
    attention_bias: bool
    mlp_bias: bool
    dtype: str
    """The checkpoint's, in torch's spelling."""


def read_config(folder: Path) -> Config:
    """Read `folder`/config.json. Raises CheckpointError for what this decoder can't compute."""
    path = folder / "config.json"
    document = read_json(path)
    names = document.get("architectures")
    architecture = names[0] if isinstance(names, list) and names else None
    if architecture not in SUPPORTED:
        raise CheckpointError(
            f"{path}: architecture {architecture} isn't supported; {', '.join(SUPPORTED)} are"
        )
    _refuse_what_changes_the_result(path, document)
    qwen3 = architecture == QWEN3
    width, heads = _whole(path, document, "hidden_size"), _whole(path, document, "num_attention_heads")
    config = Config(
        vocabulary=_whole(path, document, "vocab_size"),
        width=width,
        inner_width=_whole(path, document, "intermediate_size"),
        layers=_whole(path, document, "num_hidden_layers"),
        heads=heads,
        kv_heads=_whole(path, document, "num_key_value_heads", heads),
        # Qwen3 always states it: there it isn't what the width would give.
        head_dim=_whole(path, document, "head_dim", None if qwen3 else width // heads),
        context=_whole(path, document, "max_position_embeddings"),
        norm_epsilon=_positive(path, document, "rms_norm_eps", _DEFAULT_NORM_EPSILON),
        rope_base=_positive(path, {**document, **_rope(document)}, "rope_theta", _DEFAULT_ROPE_BASE),
        rope_scaling=_rope_scaling(path, _rope(document)),
        tied=document.get("tie_word_embeddings", False) is True,
        qk_norm=qwen3,
        attention_bias=document.get("attention_bias", False) is True,
        mlp_bias=not qwen3 and document.get("mlp_bias", False) is True,
        dtype=str(document.get("dtype") or document.get("torch_dtype") or "float32"),
    )
    if config.heads % config.kv_heads or config.head_dim % 2:
        raise CheckpointError(
            f"{path}: {config.heads} query heads must be a multiple of {config.kv_heads} key heads, "
            f"and head_dim {config.head_dim} even"
        )
    return config


def read_stop_ids(folder: Path) -> frozenset[int]:
    """The tokens that end a text: generation_config.json says it, else config.json; maybe none."""
    paths = [path for path in (folder / "generation_config.json", folder / "config.json") if path.is_file()]
    for path in paths:
        if (found := read_json(path).get("eos_token_id")) is not None:
            return frozenset(
                token for token in (found if isinstance(found, list) else [found]) if type(token) is int
            )
    return frozenset()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises CheckpointError."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} isn't a JSON object")
    return document


def _refuse_what_changes_the_result(path: Path, document: Mapping[str, Any]) -> None:
    """Settings that would be computed wrongly without a word if they were passed over."""
    for name, wanted in (
        ("hidden_act", "silu"),
        ("use_sliding_window", False),
        ("quantization_config", None),
    ):
        if document.get(name, wanted) != wanted:
            raise CheckpointError(f"{path}: {name} {str(document[name])[:60]} isn't supported")
    kinds = document.get("layer_types") or []
    if not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds):
        raise CheckpointError(f"{path}: layer_types has others than full_attention, which aren't supported")


def _rope(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of RoPE, which newer files call otherwise."""
    found = document.get("rope_parameters") or document.get("rope_scaling")
    return found if isinstance(found, dict) else {}


def _rope_scaling(path: Path, rope: Mapping[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "llama3") or rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise CheckpointError(
            f"{path}: RoPE of type {kind} isn't supported; default and llama3 are, of whole heads"
        )
    if kind == "default":
        return None
    return RopeScaling(
        factor=_positive(path, rope, "factor"),
        low_frequency_factor=_positive(path, rope, "low_freq_factor"),
        high_frequency_factor=_positive(path, rope, "high_freq_factor"),
        original_context=_whole(path, rope, "original_max_position_embeddings"),
    )


def _whole(path: Path, document: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = default if document.get(name) is None else document[name]
    if type(value) is not int or value <= 0:
        raise CheckpointError(f"{path}: {name} must be a positive whole number, not {str(value)[:60]}")
    return value


def _positive(path: Path, document: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = default if document.get(name) is None else document[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise CheckpointError(f"{path}: {name} must be a positive number, not {str(value)[:60]}")
    return float(value)
