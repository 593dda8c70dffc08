"""GGUF files are recognised by their content and converted once."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf as writer
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from llmflame.errors import UsageError
from llmflame.subjects import folder, gguf
from llmflame.subjects.progress import silent

HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def write_tiny(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A one-layer Llama of random float32 weights; returns its embedding."""
    random = np.random.default_rng(7)
    out = writer.GGUFWriter(path, "llama")
    out.add_name("Tiny")
    out.add_context_length(128)
    out.add_embedding_length(32)
    out.add_block_count(1)
    out.add_feed_forward_length(64)
    out.add_head_count(4)
    out.add_head_count_kv(2)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_freq_base(10000.0)
    out.add_rope_dimension_count(8)
    words = ["<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyzĠ", "ab", "cd"]
    out.add_vocab_size(len(words))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("default")
    out.add_token_list(words)
    out.add_token_types([3, 3, 3] + [1] * (len(words) - 3))
    out.add_token_merges(["a b", "c d"])
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_chat_template(TEMPLATE)
    shapes = {
        "token_embd.weight": (len(words), 32),
        "blk.0.attn_q.weight": (32, 32),
        "blk.0.attn_k.weight": (16, 32),
        "blk.0.attn_v.weight": (16, 32),
        "blk.0.attn_output.weight": (32, 32),
        "blk.0.ffn_gate.weight": (64, 32),
        "blk.0.ffn_up.weight": (64, 32),
        "blk.0.ffn_down.weight": (32, 64),
        "blk.0.attn_norm.weight": (32,),
        "blk.0.ffn_norm.weight": (32,),
        "output_norm.weight": (32,),
    }
    tensors = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    for name, value in tensors.items():
        out.add_tensor(name, value)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return tensors["token_embd.weight"]


def test_converts_weights_tokenizer_and_chat_template(tmp_path: Path) -> None:
    embedding = write_tiny(tmp_path / "tiny.gguf")
    made = gguf.folder(tmp_path / "tiny.gguf", silent)
    found = folder.describe(made, spec="", name="", source="")
    assert (found.architecture, found.dtype, found.context_tokens) == ("LlamaForCausalLM", "bfloat16", 128)
    assert "quantization_config" not in (made / "config.json").read_text()
    stored = load_file(made / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(stored, torch.from_numpy(embedding).bfloat16())
    model, report = transformers.AutoModelForCausalLM.from_pretrained(made, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.model_max_length == 128
    assert (tokenizer.eos_token_id, model.generation_config.eos_token_id) == (2, 2)
    assert tokenizer.tokenize("xabcd") == ["x", "ab", "cd"]


def test_the_same_content_is_converted_once(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.gguf")
    first = gguf.folder(tmp_path / "tiny.gguf", silent)
    (tmp_path / "tiny.gguf").rename(tmp_path / "renamed.gguf")
    lines: list[str] = []
    assert gguf.folder(tmp_path / "renamed.gguf", lines.append) == first
    assert lines == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.gguf", b"PK\x03\x04 a zip file", "isn't a GGUF file"),
        ("a.gguf", b"", "isn't a GGUF file"),
        ("a.gguf", b"GGUF\x03", "is cut off"),
        ("a.gguf", b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is GGUF version 50331648"),
        ("a.gguf", b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "is GGUF version 1"),
        ("a-00001-of-00003.gguf", HEAD, "one part of a split file"),
    ],
)
def test_refuses_what_it_cannot_read(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        gguf.folder(tmp_path / name, silent)


def test_a_damaged_body_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.gguf")
    whole = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"^converting tiny.gguf failed: \w+Error: "):
        gguf.folder(tmp_path / "tiny.gguf", silent)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
