"""What config.json says about a model, read without transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflame.errors import UsageError

_CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The few settings of config.json that describe a checkpoint."""

    architecture: str | None
    context_tokens: int | None
    dtype: str | None
    tied: bool
    """Whether the output layer is the embedding."""
    quantised: bool
    """Whether the weights are stored packed, so that element counts aren't parameter counts."""
    needs_code: bool
    """Whether the model's code lies beside config.json instead of in transformers."""


def read(folder: Path) -> ModelConfig:
    """Read `folder`/config.json. Raises UsageError with one line if it is missing or no JSON object."""
    path = folder / "config.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} has no config.json, so it is no Hugging Face checkpoint") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UsageError(f"{path} isn't a JSON object")
    # Models of several modalities keep the language model's settings one level down.
    text = document.get("text_config")
    settings = {**document, **text} if isinstance(text, dict) else document
    return ModelConfig(
        architecture=_architecture(document),
        context_tokens=_context(settings),
        dtype=_text(settings.get("dtype")) or _text(settings.get("torch_dtype")),
        tied=document.get("tie_word_embeddings", settings.get("tie_word_embeddings")) is True,
        quantised=isinstance(document.get("quantization_config"), dict),
        needs_code=_has_own_code(document.get("auto_map")),
    )


def _architecture(document: dict[str, Any]) -> str | None:
    names = document.get("architectures")
    first = names[0] if isinstance(names, list) and names else None
    return _text(first) or _text(document.get("model_type"))


def _context(settings: dict[str, Any]) -> int | None:
    values = (settings.get(key) for key in _CONTEXT_KEYS)
    return next((value for value in values if type(value) is int and value > 0), None)


def _has_own_code(auto_map: Any) -> bool:
    """An entry `org/name--module.Class` points into another repository; one without `--` lies in this one."""
    values = auto_map.values() if isinstance(auto_map, dict) else ()
    return any(isinstance(value, str) and "--" not in value for value in values)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
