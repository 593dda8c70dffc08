"""Text to token ids and back: byte-level BPE.

Sennrich et al. 2016 (arXiv 1508.07909), section 3.2, merges the most frequent pairs of symbols into one;
Radford et al. 2019 (GPT-2), section 2.2, starts from bytes, so that every text has ids. The merging itself is
the `tokenizers` library's, which reads `tokenizer.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer as Library
from tokenizers import decoders
from torch import Tensor

from llmflame.scratch.errors import CheckpointError, SettingError

_INCOMPLETE = "\ufffd"
"""How a character of which bytes are still to come is decoded."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts of different lengths as one rectangle, padded at the left so that all of them end together."""

    tokens: Tensor
    """[B, T]"""
    padding: Tensor
    """[B], how many columns of padding each row begins with."""


class Tokenizer:
    """The tokenizer of a checkpoint folder. Raises CheckpointError where it has none of this kind."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(f"{folder} has no tokenizer.json, where a tokenizer must lie")
        try:
            self._library = Library.from_file(str(path))
        except Exception as error:  # the library raises no narrower one
            raise CheckpointError(f"{path} can't be read: {error}") from error
        if not isinstance(self._library.decoder, decoders.ByteLevel):
            # Others drop or add spaces at a text's beginning: pieces of it can't be decoded one by one.
            raise CheckpointError(f"{path} isn't byte-level BPE, the only kind that is supported")
        # A file may ask for both; a prompt is neither cut nor filled up here.
        self._library.no_truncation()
        self._library.no_padding()

    def encode(self, text: str) -> list[int]:
        """The ids of a text, with those that the checkpoint puts before or after every text."""
        ids: list[int] = self._library.encode(text).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        text: str = self._library.decode(list(ids), skip_special_tokens=True)
        return text


def pad(prompts: Sequence[Sequence[int]], device: str = "cpu") -> Batch:
    """Prompts as a batch. Which id fills the padding doesn't matter, since nothing looks at it.

    Raises SettingError for an empty prompt: a model can't say what follows nothing.
    """
    lengths = [len(prompt) for prompt in prompts]
    if not lengths or not all(lengths):
        raise SettingError("a prompt must have at least one token")
    width = max(lengths)
    rows = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    padding = [width - length for length in lengths]
    return Batch(torch.tensor(rows, device=device), torch.tensor(padding, device=device))


class TextStream:
    """Text as it grows: a token may end within a character, which is held back until it is whole.

    Decoding byte-level tokens joins their bytes, so pieces that end with a whole character can be decoded one
    by one.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._held: list[int] = []

    def push(self, token: int) -> str:
        """The characters that `token` completes, maybe none."""
        self._held.append(token)
        text = self._tokenizer.decode(self._held)
        if text.endswith(_INCOMPLETE):
            return ""
        self._held.clear()
        return text

    def finish(self) -> str:
        """What is still held back, at the end of a text."""
        text = self._tokenizer.decode(self._held)
        self._held.clear()
        return text
