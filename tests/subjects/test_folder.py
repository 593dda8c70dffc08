"""A checkpoint folder is described from its files alone, or refused with one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from llmflame.errors import UsageError
from llmflame.subjects import dummy_write, folder
from llmflame.subjects.checkpoint import Checkpoint
from llmflame.subjects.progress import silent

from .tiny import TINY_LLAMA, TINY_UNTIED, write_safetensors


def describe(path: Path, **options: Any) -> Checkpoint:
    return folder.describe(path, spec="x", name="x", source="x", **options)


@pytest.fixture
def copy(tiny_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama, tmp_path / "model"))


def edit_config(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        describe(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_describes_a_folder(tiny_llama: Path) -> None:
    found = describe(tiny_llama)
    # Embedding, two norms a layer and one at the end, 4 attention and 3 MLP matrices a layer.
    assert found.parameters == 300 * 32 + 5 * 32 + 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32)
    assert (found.architecture, found.dtype, found.context_tokens) == ("LlamaForCausalLM", "bfloat16", 512)
    assert found.weight_files == (tiny_llama / "model.safetensors",)
    assert found.weight_bytes == found.weight_files[0].stat().st_size


def test_shards_add_up_to_the_single_file(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    dummy_write.write(TINY_UNTIED, whole, silent)
    dummy_write.write(TINY_UNTIED, parts, silent, shard_bytes=10_000)
    assert len(describe(parts).weight_files) > 2
    assert describe(parts).parameters == describe(whole).parameters
    (parts / describe(parts).weight_files[1].name).unlink()
    assert "lacks 1 of its" in refusal(parts)


def test_a_stored_copy_of_the_tied_output_layer_is_counted_once(tmp_path: Path) -> None:
    dummy_write.write(TINY_UNTIED, tmp_path, silent)
    untied = describe(tmp_path).parameters
    edit_config(tmp_path, tie_word_embeddings=True)
    assert untied is not None
    assert describe(tmp_path).parameters == untied - 300 * 32


def test_packed_weights_have_no_known_parameter_count(copy: Path) -> None:
    edit_config(copy, quantization_config={"quant_method": "gptq"})
    assert describe(copy).parameters is None


def test_settings_of_a_nested_text_model_are_found(copy: Path) -> None:
    config = dict(TINY_LLAMA)
    context = config.pop("max_position_embeddings")
    (copy / "config.json").write_text(json.dumps({**config, "text_config": {"n_positions": context}}))
    assert describe(copy).context_tokens == 512


def test_old_mask_buffers_are_no_parameters(copy: Path) -> None:
    header = {
        "h.0.attn.bias": {"dtype": "U8", "shape": [1, 1, 4, 4], "data_offsets": [0, 16]},
        "wte.weight": {"dtype": "F16", "shape": [4, 4], "data_offsets": [16, 48]},
    }
    write_safetensors(copy / "model.safetensors", header, bytes(48))
    assert (describe(copy).parameters, describe(copy).dtype) == (16, "float16")


def test_refuses_what_is_no_checkpoint(copy: Path, tmp_path: Path) -> None:
    assert "isn't a folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in refusal(tmp_path / "empty")
    (copy / "config.json").write_text("[]")
    assert "isn't a JSON object" in refusal(copy)
    (copy / "config.json").write_text("{" * 50_000)
    assert "isn't a JSON object" in refusal(copy)


def test_refuses_a_folder_without_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").unlink()
    assert "has no tokenizer" in refusal(copy)


def test_refuses_a_folder_without_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert "has no weights" in refusal(copy)
    (copy / "adapter_config.json").write_text("{}")
    assert "it is an adapter" in refusal(copy)


def test_refuses_weights_without_tensors(copy: Path) -> None:
    write_safetensors(copy / "model.safetensors", {})
    assert "holds no tensors" in refusal(copy)


def test_pickled_weights_need_a_clear_yes(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert "--allow-pickle" in refusal(copy)
    found = describe(copy, allow_pickle=True)
    assert found.allow_pickle and found.parameters is None and found.dtype == "bfloat16"
    assert found.weight_files == (copy / "pytorch_model.bin",)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("nonsense", "no `weight_map`"),
        ('{"weight_map": {}}', "no `weight_map`"),
        ('{"weight_map": {"a": 1}}', "must name a file"),
        ('{"weight_map": {"a": "../../secret.safetensors"}}', "lacks 1 of its 1 shards"),
        ('{"weight_map": {"a": "part.safetensors"}}', "lacks tensor `a`"),
    ],
)
def test_refuses_a_wrong_index(copy: Path, index: str, reason: str) -> None:
    (copy / "model.safetensors").rename(copy / "part.safetensors")
    (copy / "model.safetensors.index.json").write_text(index)
    assert reason in refusal(copy)
