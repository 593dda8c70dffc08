"""What a process takes beside a model's tensors: found by doing once, and small, what a request does."""

from __future__ import annotations

import contextlib
from pathlib import Path

HIDDEN = 256
TOKENS = 64
VOCABULARY = 512
NEW_TOKENS = 3


def rehearse(folder: Path | None) -> None:
    """Load the tokeniser of a checkpoint, and generate with a tiny model of random weights.

    Afterwards the code of both, the tokeniser's tables and the matrix library's buffers are resident. What
    fails is left out: a real run would say why.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    with contextlib.suppress(Exception):
        if folder is not None:
            AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), torch.no_grad():
        config = LlamaConfig(
            hidden_size=HIDDEN,
            intermediate_size=2 * HIDDEN,
            num_hidden_layers=1,
            num_attention_heads=4,
            vocab_size=VOCABULARY,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
        ids = torch.ones((1, TOKENS), dtype=torch.long)
        LlamaForCausalLM(config).generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False)
