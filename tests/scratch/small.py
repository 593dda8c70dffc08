"""Small random models that transformers writes as checkpoints, with no weight at its starting value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging

from llmflame.subjects import byte_tokenizer
from tests.subjects.tiny import TINY_LLAMA, TINY_QWEN

_SPREAD = 0.2
"""Large enough that logits differ; norms are 1 and biases 0 at first, which would hide a missing one."""
NEAR_CONTEXT = {"original_max_position_embeddings": 32}
"""Of a rotation that the scaling reaches in prompts of some tokens."""
LLAMA: Mapping[str, Any] = {
    **TINY_LLAMA,
    "rope_scaling": {**TINY_LLAMA["rope_scaling"], **NEAR_CONTEXT},
}
QWEN3: Mapping[str, Any] = {**TINY_QWEN, "head_dim": 16}
"""Its heads are wider than the width of the model over their number."""


def write(folder: Path, config: Mapping[str, Any], *, shard: str = "5GB", seed: int = 0) -> Any:
    """Write a float32 checkpoint with its tokenizer. Returns transformers' model."""
    fields = {key: value for key, value in config.items() if key not in ("model_type", "torch_dtype")}
    settings = transformers.AutoConfig.for_model(config["model_type"], **fields)
    model = transformers.AutoModelForCausalLM.from_config(settings, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            center = 1.0 if parameter.dim() == 1 else 0.0
            parameter.copy_(center + _SPREAD * torch.randn(parameter.shape, generator=generator))
    folder.mkdir(exist_ok=True)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model.save_pretrained(folder, max_shard_size=shard)
    if shown:
        logging.enable_progress_bar()
    byte_tokenizer.write(folder, config)
    return model


def change(path: Path, **values: Any) -> None:
    """Change settings of a JSON file; None takes one out."""
    document = {**json.loads(path.read_text("utf-8")), **values}
    kept = {key: value for key, value in document.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
