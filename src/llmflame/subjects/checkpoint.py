"""What a resolved MODEL is: a local Hugging Face checkpoint folder and what its headers say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that transformers can load, described without importing torch."""

    spec: str
    """MODEL as the person wrote it."""
    name: str
    """Short, for titles: `SmolLM2-135M-Instruct`, `llama-3.2-1b (random weights)`."""
    folder: Path
    """A local folder with config.json, weights and tokenizer."""
    source: str
    """Where it came from, one line."""
    architecture: str | None
    """`architectures[0]` of config.json, else its `model_type`."""
    parameters: int | None
    """Counted from the safetensors headers, tied weights once; None for packed or pickled weights."""
    weight_bytes: int
    """The size of the weight files on disk."""
    dtype: str | None
    """The dtype of most weight bytes in torch's spelling (`bfloat16`); None where no header says it."""
    context_tokens: int | None
    """The longest sequence that config.json allows; None if it doesn't say."""
    weight_files: tuple[Path, ...]
    random_weights: bool
    trust_remote_code: bool
    allow_pickle: bool
