"""A model with random weights made on the device itself, and a request that a recorder can repeat."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llmflame
from llmflame.store.profile import Profile
from llmflame.subjects.dummy import SHAPES


@dataclass(frozen=True, slots=True)
class Request:
    """Token ids of one length for each sequence, and how many tokens are made from them."""

    batch_size: int
    prompt_tokens: int
    new_tokens: int


def shape(name: str) -> dict[str, Any]:
    """The config of a published architecture, by the name that `dummy:` knows it by."""
    return dict(SHAPES[name].config)


def build(config: Mapping[str, Any], *, dtype: str, device: str, attention: str = "sdpa") -> Any:
    """A causal model of this config; its weights are drawn on the device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    made = AutoConfig.for_model(
        config["model_type"], **{k: v for k, v in config.items() if k != "model_type"}
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            made, dtype=getattr(torch, dtype), attn_implementation=attention
        )
    model.generation_config.pad_token_id = 0
    model.generation_config.eos_token_id = None
    return model.eval()


def generate(model: Any, request: Request, **options: Any) -> Callable[[], Any]:
    """A call that runs the request once and waits for its end."""
    import torch

    device = next(model.parameters()).device
    torch.manual_seed(0)
    size = (request.batch_size, request.prompt_tokens)
    ids = torch.randint(1, model.config.vocab_size, size, device=device)

    def run() -> Any:
        made = model.generate(ids, max_new_tokens=request.new_tokens, do_sample=False, **options)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return made

    return run


def greedy(model: Any, request: Request, between: Callable[[], None] = lambda: None) -> Callable[[], Any]:
    """A greedy loop as short as one can be: the model, the token, a look whether it is the last one.

    `between` is called after each token is on the host.
    """
    import torch

    device = next(model.parameters()).device
    torch.manual_seed(0)
    size = (request.batch_size, request.prompt_tokens)
    ids = torch.randint(1, model.config.vocab_size, size, device=device)

    def run() -> Any:
        tokens, cache = ids, None
        for _ in range(request.new_tokens):
            made = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            tokens, cache = made.logits[:, -1:].argmax(-1), made.past_key_values
            if bool((tokens < 0).all()):
                break
            between()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return tokens

    return run


def record(
    model: Any,
    request: Request,
    run: Callable[[], Any],
    output: Path,
    *,
    repetitions: int = 5,
    **described: Any,
) -> Profile:
    """Every pass over the request, as a person would record it."""
    with _no_gradients(), llmflame.Recorder(model, output, force=True, repetitions=repetitions) as recorder:
        recorder.describe(
            batch_size=request.batch_size,
            prompt_tokens=request.prompt_tokens,
            new_tokens=request.new_tokens,
            **described,
        )
        for _ in recorder.passes():
            run()
    return recorder.profile


@contextlib.contextmanager
def _no_gradients() -> Iterator[None]:
    import torch

    with torch.no_grad():
        yield
