"""The tokens on which models are compared: a short text that is shipped, written for this and free to use."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmflame.errors import UsageError


def text() -> str:
    """Prose in plain English, some 2 kB."""
    return resources.files("llmflame.lab").joinpath("reference_text.txt").read_text("utf-8")


def digest() -> str:
    """What tells one text from another in a file."""
    return hashlib.sha256(text().encode()).hexdigest()[:12]


def forced_ids(folder: Path, batch: int, tokens: int) -> NDArray[np.int64]:
    """The text in a checkpoint's tokens, [batch, tokens]: each row goes on where the one before it ended.

    From the text's end on it begins anew. Raises UsageError where the checkpoint's tokeniser can't be read.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        ids = Tokenizer.from_file(str(file)).encode(text(), add_special_tokens=False).ids
    except Exception as error:  # the library raises Exception itself
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{file}: the experiment needs the model's tokeniser ({reason})") from error
    if not ids:
        raise UsageError(f"{file}: the tokeniser gives no tokens for an English text")
    repeated = np.resize(np.asarray(ids, np.int64), batch * tokens)
    return repeated.reshape(batch, tokens)
