"""The prompts of a trial: the demo's text, cut or repeated to a number of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmflame.errors import UsageError
from llmflame.recording.workload import DEFAULT_PROMPT

if TYPE_CHECKING:
    from torch import Tensor


def prompt_ids(folder: Path, rows: int, tokens: int) -> Tensor:
    """[rows, tokens] int64. The first row doesn't depend on how many there are; each other begins a token
    later in the repeated text. Raises UsageError where the folder's tokenizer can't be used.
    """
    import torch

    ids = _encode(folder, DEFAULT_PROMPT)
    if not ids:
        raise UsageError(f"the tokenizer of {folder} makes no token of the prompt")
    repeated = ids * (-(-(tokens + rows) // len(ids)))
    return torch.tensor([repeated[row : row + tokens] for row in range(rows)])


def _encode(folder: Path, text: str) -> list[int]:
    if (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        found: list[int] = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
        return found
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True)(text)["input_ids"]
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(f"{folder} has no usable tokenizer: {str(error).splitlines()[0][:200]}") from error
    return found
