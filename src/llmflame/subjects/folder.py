"""MODEL as a local checkpoint folder; every other kind of MODEL ends as one."""

from __future__ import annotations

from pathlib import Path

from llmflame.errors import UsageError
from llmflame.subjects import model_config, weights
from llmflame.subjects.checkpoint import Checkpoint

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tekken.json",
)


def describe(
    folder: Path,
    *,
    spec: str,
    name: str,
    source: str,
    random_weights: bool = False,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Checkpoint:
    """Check `folder` and describe it; reads config.json and the headers of the weights, nothing else.

    Raises UsageError with one line for a folder that can't be loaded as a text generation model.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} isn't a folder")
    config = model_config.read(folder)
    found = weights.find(folder, config, allow_pickle=allow_pickle)
    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        raise UsageError(f"{folder} has no tokenizer ({_TOKENIZER_FILES[0]} or {_TOKENIZER_FILES[1]})")
    return Checkpoint(
        spec=spec,
        name=name,
        folder=folder,
        source=source,
        architecture=config.architecture,
        parameters=found.parameters,
        weight_bytes=found.bytes,
        dtype=found.dtype,
        context_tokens=config.context_tokens,
        weight_files=found.files,
        random_weights=random_weights,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )
