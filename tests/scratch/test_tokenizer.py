"""Text and ids, batches, and text that grows by tokens which end within a character."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmflame.scratch.errors import CheckpointError, SettingError
from llmflame.scratch.generate import stream
from llmflame.scratch.tokenizer import TextStream, Tokenizer, pad
from tests.scratch import small


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """One token a byte, so that most characters are of several."""
    folder = tmp_path_factory.mktemp("tokenizer")
    small.write(folder, small.LLAMA)
    return Tokenizer(folder)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_text_comes_back_piece_by_piece(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids[0] == 298, "a text begins as the checkpoint says"
    grown = TextStream(tokenizer)
    pieces = [grown.push(token) for token in ids]
    assert "".join(pieces) + grown.finish() == text == tokenizer.decode(ids)


@given(ids=st.lists(st.integers(0, 299), max_size=40))
def test_any_ids_read_as_they_do_at_once(tokenizer: Tokenizer, ids: list[int]) -> None:
    grown = TextStream(tokenizer)
    pieces = [grown.push(token) for token in ids]
    assert "".join(pieces) + grown.finish() == tokenizer.decode(ids)


def test_half_a_character_is_held_back(tokenizer: Tokenizer) -> None:
    grown = TextStream(tokenizer)
    ids = tokenizer.encode("é")[1:]
    assert [grown.push(token) for token in ids] == ["", "é"]
    assert grown.finish() == ""


def test_prompts_end_together() -> None:
    batch = pad([[5, 6, 7], [8]])
    assert batch.tokens.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert batch.padding.tolist() == [0, 2]
    for nothing in ([], [[1], []]):
        with pytest.raises(SettingError, match="at least one token"):
            pad(nothing)


def test_each_row_ends_by_itself() -> None:
    steps = iter(torch.tensor([[1, 2], [9, 3], [4, 4], [5, 9], [6, 6]]))
    assert list(stream(steps, {9})) == [[1, 2], [9, 3], [None, 4], [None, 9]]


def test_tokenizers_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json"):
        Tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="can't be read"):
        Tokenizer(tmp_path)
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models

    library = Library(models.BPE(vocab={"a": 0}, merges=[]))
    library.decoder = decoders.Metaspace()
    library.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="isn't byte-level BPE"):
        Tokenizer(tmp_path)
