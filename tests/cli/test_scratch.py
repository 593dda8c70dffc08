"""The command `llmflame scratch` on a small model: what it writes, and one line for what it can't."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.cli.scratch import _shown
from tests.cli.conftest import Invoke
from tests.scratch import small


@pytest.fixture
def model(tmp_path: Path) -> Path:
    small.write(tmp_path / "small", small.LLAMA)
    return tmp_path / "small"


def test_it_continues_the_text(invoke: Invoke, model: Path) -> None:
    ended = invoke("scratch", "one two", "--model", model, "--new-tokens", "6", "--device", "cpu")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("one two") and ended.out.endswith("\n") and len(ended.out) > len("one two\n")
    naive = invoke("scratch", "one two", "--model", model, "--new-tokens", "6", "--device", "cpu", "--naive")
    assert naive.out == ended.out


def test_drawing_has_a_seed(invoke: Invoke, model: Path) -> None:
    def drawn(seed: str) -> str:
        options = ("--temperature", "3", "--top-p", "0.99", "--seed", seed, "--dtype", "bfloat16")
        return invoke("scratch", "a", "--model", model, "--new-tokens", "12", *options).out

    assert drawn("1") == drawn("1") != drawn("2")


def test_the_end_of_a_text_ends_it(invoke: Invoke, model: Path) -> None:
    small.change(model / "generation_config.json", eos_token_id=list(range(300)))
    assert invoke("scratch", "a", "--model", model).out == "a\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--temperature", "-1"), "temperature must be"),
        (("--top-p", "0.5"), "give a temperature too"),
        (("--device", "tpu"), "device tpu isn't supported"),
        (("--dtype", "int8"), "dtype int8 isn't supported; float32, bfloat16, float16 are"),
        (("--new-tokens", "0"), "--new-tokens"),
        (("--new-tokens", "600"), "more than the 512 that the model can look at"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_bad_usage(invoke: Invoke, model: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = invoke("scratch", "a", "--model", model, *arguments)
    assert ended.code == 2 and ended.out == ""
    assert said in ended.err and ended.err.count("\n") == 1


def test_checkpoints_that_cant_be_used(invoke: Invoke, model: Path, tmp_path: Path) -> None:
    small.change(model / "config.json", architectures=["GPT2LMHeadModel"])
    ended = invoke("scratch", "a", "--model", model)
    assert ended.code == 2 and "LlamaForCausalLM, Qwen3ForCausalLM are" in ended.err
    small.change(model / "config.json", architectures=["LlamaForCausalLM"], num_hidden_layers=1)
    ended = invoke("scratch", "a", "--model", model)
    assert ended.code == 2 and "9 extra (model.layers.1." in ended.err and ended.err.count("\n") == 1
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    assert "only pickled weights" in invoke("scratch", "a", "--model", model).err
    assert "there is no model" in invoke("scratch", "a", "--model", tmp_path / "none").err


def test_a_models_text_is_data() -> None:
    assert _shown("a\n\tb\x1b[2J\u202e") == "a\n\tb\\x1b[2J\\u202e"
