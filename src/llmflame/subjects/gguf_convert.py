"""GGUF to safetensors through transformers: dequantised weights, config, tokenizer, chat template.

The checkpoint is saved in bfloat16, whatever the blocks of the GGUF file hold. Most checkpoints that people
publish and run are bfloat16, so the file, its size and its load path are like theirs, and half of float32's.
The price: dequantised values are rounded to 8 significant bits. Beside a quantisation to 4 to 6 bits that is
little; values that the GGUF file holds in 8 bits or more lose something. Speed and memory don't depend on it.
Loading with dtype float32 computes in float32 on the rounded weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmflame.subjects.progress import Progress

_UNLIMITED = 1_000_000_000
"""A `model_max_length` above this is transformers' way of writing that nobody set one."""
_LOADING_NOTES = ("is_local", "local_files_only")
"""What transformers writes into a tokenizer's config about the call that loaded it."""


def convert(gguf: Path, target: Path, progress: Progress) -> None:
    """Write the checkpoint made from `gguf` into the existing folder `target`. Needs accelerate and gguf."""
    import torch
    import transformers

    progress(f"reading {gguf.name}")
    options: dict[str, Any] = {"gguf_file": gguf.name, "dtype": torch.bfloat16}
    if hasattr(transformers, "GgufConfig"):
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(str(gguf.parent), **options)
    _forget_quantisation(model)
    progress("converting the tokenizer")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    _name_special_tokens(tokenizer, model.config)
    context = getattr(model.config, "max_position_embeddings", None)
    if context and tokenizer.model_max_length > _UNLIMITED:
        tokenizer.model_max_length = context
    progress("writing the converted checkpoint")
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    _forget_loading_notes(target / "tokenizer_config.json")


def _name_special_tokens(tokenizer: Any, config: Any) -> None:
    """Take the special tokens from the ids in the file: transformers 5.17 gives EOS the name of BOS."""
    for role in ("bos", "eos", "unk", "pad"):
        token = getattr(config, f"{role}_token_id", None)
        if isinstance(token, int) and 0 <= token < len(tokenizer):
            setattr(tokenizer, f"{role}_token", tokenizer.convert_ids_to_tokens(token))


def _forget_quantisation(model: Any) -> None:
    """The weights are dense now; transformers still marks them as quantised and would refuse to save them."""
    for owner, name in (
        (model, "hf_quantizer"),
        (model, "quantization_method"),
        (model.config, "quantization_config"),
    ):
        if hasattr(owner, name):
            delattr(owner, name)
    model.is_quantized = False


def _forget_loading_notes(path: Path) -> None:
    settings = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in settings.items() if name not in _LOADING_NOTES}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
