"""A tokenizer for random weights: one token per byte, and a name for every id that the model can produce.

The vocabulary is as large as the model's, so that any generated id decodes to some text and decoding costs
what it costs with a real vocabulary. The ids above the bytes read as ` w300`; no input text makes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BOS = "<|begin_of_text|>"
EOS = "<|end_of_text|>"
_BYTES = 256
_SPACE = "Ġ"
"""How byte-level vocabularies write a space."""


def write(folder: Path, config: Mapping[str, Any]) -> None:
    """Write tokenizer.json and tokenizer_config.json for a model of that config; a prompt begins with BOS."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    special = {int(config["bos_token_id"]): BOS, int(config["eos_token_id"]): EOS}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {_word(token, alphabet, special): token for token in range(int(config["vocab_size"]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in special.values()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, int(config["bos_token_id"]))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": EOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config["max_position_embeddings"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _word(token: int, alphabet: list[str], special: Mapping[int, str]) -> str:
    if token in special:
        return special[token]
    return alphabet[token] if token < _BYTES else f"{_SPACE}w{token}"
