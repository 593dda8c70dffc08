"""Dummies have the published shapes exactly, load without a missing key, and are the same on every run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from llmflame.errors import UsageError
from llmflame.subjects import dummy, dummy_write
from llmflame.subjects.progress import silent

from .tiny import TINY_LLAMA, TINY_QWEN, TINY_UNTIED


@pytest.mark.parametrize("name", list(dummy.SHAPES))
def test_published_parameter_counts_are_exact(name: str) -> None:
    shape = dummy.shape(name)
    shapes = dummy_write.parameter_shapes(shape.config)
    assert sum(prod(sizes) for sizes in shapes.values()) == shape.parameters


@pytest.mark.parametrize("config", [TINY_LLAMA, TINY_QWEN, TINY_UNTIED], ids=["llama", "qwen3", "untied"])
def test_loads_with_no_key_missing_or_left_over(config: dict[str, Any], tmp_path: Path) -> None:
    dummy_write.write(config, tmp_path, silent, shard_bytes=20_000)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True, dtype="auto"
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(model).__name__ == config["architectures"][0]
    assert model.dtype == torch.bfloat16
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == config["tie_word_embeddings"]


def test_the_config_that_is_loaded_is_the_published_one(tmp_path: Path) -> None:
    config = dummy.shape("llama-3.2-1b").config
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = transformers.AutoConfig.from_pretrained(tmp_path)
    assert loaded.rope_parameters["rope_type"] == "llama3"
    assert loaded.rope_parameters["factor"] == 32.0
    assert loaded.rope_parameters["rope_theta"] == 500000.0


def test_numbers_are_normal_and_independent_of_the_shards(tmp_path: Path) -> None:
    tensors: list[dict[str, torch.Tensor]] = []
    for name, shard_bytes in (("whole", 10**9), ("parts", 9_000)):
        target = tmp_path / name
        target.mkdir()
        dummy_write.write(TINY_UNTIED, target, silent, shard_bytes=shard_bytes)
        files = sorted(target.glob("*.safetensors"))
        tensors.append({key: value for file in files for key, value in load_file(file).items()})
    whole, parts = tensors
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    embedding = whole["model.embed_tokens.weight"].float()
    assert embedding.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(embedding.mean().item()) < 0.001
    assert not torch.equal(whole["model.embed_tokens.weight"], whole["lm_head.weight"])
    assert torch.equal(whole["model.norm.weight"], torch.ones(32, dtype=torch.bfloat16))


def test_the_tokenizer_keeps_every_byte_and_names_every_id(tiny_llama: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_llama)
    text = "Hello,  world\n\tnaïve ☺ 你好 \x00"
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id == 298
    assert len(ids) == 1 + len(text.encode())
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(tokenizer) == TINY_LLAMA["vocab_size"]
    assert tokenizer.decode([270]) == " w270"
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == 299
    assert tokenizer.model_max_length == 512
    batch = tokenizer(["a", "abc"], padding=True, return_tensors="pt")
    assert batch["input_ids"].shape == (2, 4)


def test_generates(tiny_llama: Path) -> None:
    pipe = transformers.pipeline("text-generation", model=str(tiny_llama))
    answer = pipe("Hi", max_new_tokens=4, do_sample=False, return_full_text=False)
    assert isinstance(answer[0]["generated_text"], str)


def test_says_so_when_the_disk_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Callable[[Path], Any] = lambda path: SimpleNamespace(free=1_000_000)  # noqa: E731
    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(UsageError, match=r"need 0\.0 GB and the disk of the cache folder has 0\.0 GB free"):
        dummy_write.write(TINY_LLAMA, tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_written_once_by_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    first = dummy.folder("tiny", TINY_LLAMA, lines.append)
    assert any("random weights" in line for line in lines)
    lines.clear()
    assert dummy.folder("tiny", TINY_LLAMA, lines.append) == first
    assert lines == []
    assert dummy.cache_key("tiny", TINY_LLAMA) != dummy.cache_key("tiny", TINY_QWEN)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no dummy `gpt-5`; there are llama-3.2-1b"):
        dummy.shape("gpt-5")
