"""Tiny checkpoints whose own model code misbehaves on cue."""

from __future__ import annotations

import json
from pathlib import Path

from llmflame.subjects import dummy_write
from llmflame.subjects.progress import silent
from tests.subjects.tiny import TINY_LLAMA

MODELING = """
import os, signal, time
from transformers import LlamaConfig, LlamaForCausalLM

class UnrulyConfig(LlamaConfig):
    model_type = "unruly"

class UnrulyForCausalLM(LlamaForCausalLM):
    config_class = UnrulyConfig
    calls = 0

    def forward(self, *args, **kwargs):
        type(self).calls += 1
        if type(self).calls == {at}:
            {deed}
        return super().forward(*args, **kwargs)
"""


def tiny(folder: Path) -> Path:
    """A two-layer Llama with random weights."""
    dummy_write.write(TINY_LLAMA, folder, silent)
    return folder


def unruly(folder: Path, deed: str, at: int = 9) -> Path:
    """The same with its own modelling code, which does `deed` in its forward call number `at`."""
    tiny(folder)
    (folder / "modeling_unruly.py").write_text(MODELING.format(deed=deed, at=at))
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "unruly"
    config["architectures"] = ["UnrulyForCausalLM"]
    config["auto_map"] = {
        "AutoConfig": "modeling_unruly.UnrulyConfig",
        "AutoModelForCausalLM": "modeling_unruly.UnrulyForCausalLM",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder
