"""Runs one request on a pipeline or a model, with its sections marked from public seams.

`pipeline.__call__` is tokenize, `_forward` (which `transformers` documents as the method to override) and
detokenize; the model's own hooks cut `_forward` into prepare and steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from llmflame.errors import UsageError
from llmflame.probes.sections import RequestProbe
from llmflame.recording.workload import Workload, check_context

Run = Callable[[Any, int], Any]
"""Runs one request: takes the probe that is told of its sections, and the number of new tokens."""


@contextlib.contextmanager
def marked_pipeline(pipeline: Any, probe: RequestProbe) -> Iterator[None]:
    """Mark where the pipeline's generation begins and ends; undone afterwards."""
    original = pipeline._forward
    own = "_forward" in vars(pipeline)

    def forward(*args: Any, **kwargs: Any) -> Any:
        probe.enter("prepare")
        try:
            return original(*args, **kwargs)
        finally:
            probe.enter("detokenize")

    pipeline._forward = forward
    try:
        yield
    finally:
        if own:
            pipeline._forward = original
        else:
            del pipeline._forward


@contextlib.contextmanager
def generation_defaults(model: Any, workload: Workload) -> Iterator[None]:
    """Let `generate` produce exactly the tokens asked for, greedily unless told otherwise; undone afterwards.

    Options given to `generate` as None are filled from the model's own defaults, so those are changed.
    """
    config = model.generation_config
    wanted: dict[str, Any] = {"do_sample": workload.sample, "max_length": None}
    if not workload.stop_at_eos:
        wanted["eos_token_id"] = None
    if not workload.sample:
        wanted |= {"temperature": None, "top_p": None, "top_k": None, "min_p": None, "typical_p": None}
    if config.pad_token_id is None:
        eos = config.eos_token_id
        wanted["pad_token_id"] = eos[0] if isinstance(eos, list) else eos if eos is not None else 0
    kept = {name: getattr(config, name, None) for name in wanted}
    for name, value in wanted.items():
        setattr(config, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(config, name, value)


def pipeline_call(pipeline: Any, prompts: list[str], workload: Workload) -> Callable[[int], Any]:
    """A call that takes the number of new tokens and runs one request."""
    batch = len(prompts)
    options: dict[str, Any] = {"do_sample": workload.sample, "return_full_text": False}
    if not workload.stop_at_eos:
        options["eos_token_id"] = None

    def call(new_tokens: int) -> Any:
        if batch == 1:
            return pipeline(prompts[0], max_new_tokens=new_tokens, **options)
        return pipeline(prompts, batch_size=batch, max_new_tokens=new_tokens, **options)

    return call


def request_of(pipeline: Any, workload: Workload) -> tuple[Run, int]:
    """The call that runs one request, and its prompt's length in tokens."""
    import torch

    text, count = prompt_of(pipeline.tokenizer, workload)
    check_context(count, workload.new_tokens, getattr(pipeline.model.config, "max_position_embeddings", None))
    call = pipeline_call(pipeline, [text] * workload.batch_size, workload)

    def run(probe: Any, new_tokens: int) -> Any:
        torch.manual_seed(workload.seed)
        with generation_defaults(pipeline.model, workload), marked_pipeline(pipeline, probe):
            probe.enter("tokenize")
            return call(new_tokens)

    return run, count


def prompt_of(tokenizer: Any, workload: Workload) -> tuple[str, int]:
    """The prompt's text and its length in tokens. Raises UsageError where a length can't be met."""
    if workload.prompt_tokens is not None:
        return _prompt_of_length(tokenizer, workload.prompt_tokens), workload.prompt_tokens
    text = workload.prompt or ""
    count = _count(tokenizer, text)
    if count < 1:
        raise UsageError("the prompt has no token: give more text")
    return text, count


_PASSAGE = "The quick brown fox jumps over the lazy dog while the river runs slowly to the sea . "


def _prompt_of_length(tokenizer: Any, wanted: int) -> str:
    """Text that the tokeniser turns into exactly `wanted` tokens."""
    words = _PASSAGE.split()
    low, high = 0, max(wanted, 1)  # no word at all: the first may be longer than what is wanted
    while low < high:
        middle = (low + high + 1) // 2
        if _count(tokenizer, _words(words, middle)) <= wanted:
            low = middle
        else:
            high = middle - 1
    text = _words(words, low)
    for filler in (" a", "a", " .", "!", "\n", "e", " x"):
        candidate = text
        while (count := _count(tokenizer, candidate)) < wanted:
            candidate += filler
            if _count(tokenizer, candidate) <= count:
                break
        if count == wanted and candidate:
            return candidate
    raise UsageError(
        f"can't make a prompt of exactly {wanted} tokens with this tokeniser: give a text instead"
    )


def _words(words: list[str], count: int) -> str:
    return " ".join(words[number % len(words)] for number in range(count))


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text)["input_ids"])
