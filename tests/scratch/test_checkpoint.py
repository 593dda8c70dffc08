"""Checkpoints that don't fit, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from llmflame.scratch.checkpoint import load
from llmflame.scratch.config import read_config, read_stop_ids
from llmflame.scratch.device import named_device
from llmflame.scratch.errors import CheckpointError, SettingError
from tests.scratch import small

Tensors = dict[str, torch.Tensor]
NORM = "model.norm.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.write(tmp_path, small.LLAMA)
    return tmp_path


def edit(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_extra_and_misshaped_tensors_are_named(folder: Path) -> None:
    def change(tensors: Tensors) -> None:
        del tensors[NORM]
        tensors["model.norm.bias"] = torch.zeros(32)
        tensors["model.layers.0.mlp.up_proj.weight"] = torch.zeros(3, 4)

    edit(folder, change)
    said = refusal(folder)
    assert f"1 missing ({NORM})" in said
    assert "1 extra (model.norm.bias)" in said
    assert "model.layers.0.mlp.up_proj.weight is F32 [3, 4] instead of [64, 32]" in said


def test_of_many_the_first_few_and_their_number(folder: Path) -> None:
    small.change(folder / "config.json", num_hidden_layers=3)
    said = refusal(folder)
    assert "9 missing (model.layers.2.input_layernorm.weight, " in said and ", ...)" in said
    assert said.count("model.layers.2") == 3


def test_integers_are_no_weights(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({NORM: torch.ones(32, dtype=torch.int8)}))
    assert f"{NORM} is I8 [32] instead of [32]" in refusal(folder)


def test_a_stored_copy_of_the_tied_head_is_the_embedding(folder: Path) -> None:
    def copy(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    edit(folder, copy)
    model = load(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    edit(folder, lambda tensors: tensors["lm_head.weight"].mul_(2))
    assert "stores another" in refusal(folder)


def test_constants_of_old_checkpoints_are_passed_over(folder: Path) -> None:
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    edit(folder, lambda tensors: tensors.update({name: torch.ones(4)}))
    assert load(folder).config.layers == 2


def test_pickles_are_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "only pickled weights (pytorch_model.bin)" in refusal(folder)
    (folder / "pytorch_model.bin").unlink()
    assert "has no weights" in refusal(folder)


def test_damaged_files(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:1000])
    assert "can't be read as safetensors" in refusal(folder)
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    for document, said in (
        ({"weight_map": {NORM: "../elsewhere.safetensors"}}, "must name safetensors files"),
        ({"weight_map": {NORM: "weights.bin"}}, "must name safetensors files"),
        ({}, "must name safetensors files"),
        ({"weight_map": {NORM: "lost.safetensors"}}, "lost.safetensors can't be read"),
    ):
        index.write_text(json.dumps(document))
        assert said in refusal(folder)


def test_a_tensor_in_two_shards(folder: Path) -> None:
    whole = folder / "model.safetensors"
    for name in ("a.safetensors", "b.safetensors"):
        (folder / name).write_bytes(whole.read_bytes())
    whole.unlink()
    places = {"weight_map": {NORM: "a.safetensors", "x": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(places))
    assert "and so does another shard" in refusal(folder)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"architectures": ["MistralForCausalLM"]},
            "isn't supported; LlamaForCausalLM, Qwen3ForCausalLM are",
        ),
        ({"architectures": None}, "architecture None isn't supported"),
        ({"hidden_act": "gelu"}, "hidden_act gelu isn't supported"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"layer_types": ["sliding_attention"] * 2}, "layer_types"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "RoPE of type yarn"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "factor must be a positive number, not None"),
        ({"hidden_size": None}, "hidden_size must be a positive whole number, not None"),
        ({"num_key_value_heads": 3}, "must be a multiple of 3 key heads"),
        ({"head_dim": 7}, "head_dim 7 even"),
        ({"rms_norm_eps": True}, "rms_norm_eps must be"),
        ({"dtype": "int4"}, "dtype int4 isn't supported"),
    ],
)
def test_configs_that_it_would_compute_wrongly(folder: Path, settings: dict[str, object], said: str) -> None:
    small.change(folder / "config.json", **settings)
    with pytest.raises((CheckpointError, SettingError)) as caught:
        load(folder)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_configs_that_are_none(folder: Path) -> None:
    (folder / "config.json").write_text("[]")
    assert "isn't a JSON object" in refusal(folder)
    (folder / "config.json").unlink()
    assert "can't be read (No such file" in refusal(folder)


def test_defaults_of_older_configs(folder: Path) -> None:
    small.change(folder / "config.json", head_dim=None, num_key_value_heads=None, rope_parameters=None)
    config = read_config(folder)
    assert (config.head_dim, config.kv_heads, config.rope_base, config.rope_scaling) == (8, 4, 1e4, None)
    small.change(folder / "config.json", rope_theta=7.0, rope_scaling={"type": "default"}, dtype=None)
    assert (read_config(folder).rope_base, read_config(folder).dtype) == (7.0, "float32")


def test_who_says_where_a_text_ends(folder: Path) -> None:
    generation = folder / "generation_config.json"
    generation.write_text('{"eos_token_id": [7, 9]}')
    assert read_stop_ids(folder) == {7, 9}
    generation.unlink()
    assert read_stop_ids(folder) == {299}
    small.change(folder / "config.json", eos_token_id=None)
    assert read_stop_ids(folder) == frozenset()


def test_devices() -> None:
    assert named_device("cpu") == "cpu"
    assert named_device("auto") in ("cpu", "cuda")
    for wrong in ("meta", "tpu", "cuda:x"):
        with pytest.raises(SettingError, match="device"):
            named_device(wrong)
