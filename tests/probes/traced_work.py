"""Real traces for the tests of work: tiny models with random weights, and the operators that they ran."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile

from llmflame.probes.work import Counted, Work, arguments, count, op_work

VOCABULARY, HIDDEN, FFN, LAYERS, HEADS, KEY_HEADS, HEAD = 101, 32, 48, 2, 4, 2, 8
BATCH, TOKENS = 2, 7
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": FFN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEY_HEADS,
}


def model(family: str, attention: str | None, **sizes: Any) -> Any:
    """A causal model of that family in bfloat16; no weights are loaded."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**sizes)
    name = {"GPT2": "GPT2LMHeadModel"}.get(family, f"{family}ForCausalLM")
    made = getattr(transformers, name)._from_config(config, attn_implementation=attention)
    return made.eval().to(torch.bfloat16)


def llama(attention: str) -> Any:
    return model("Llama", attention, **SIZES)


def tokens(count: int = TOKENS) -> torch.Tensor:
    return torch.randint(3, VOCABULARY, (BATCH, count), generator=torch.Generator().manual_seed(1))


def traced(run: Callable[[], Any]) -> list[Any]:
    """The roots of torch's event tree of one call, with shapes."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        run()
    return cast("list[Any]", cast("Any", profiler).profiler.kineto_results.experimental_event_tree())


def name_of(event: Any) -> str | None:
    """None for frames, and for annotations, which have no inputs."""
    tag, fields = event.typed
    return cast("str", event.name) if tag == _EventType.TorchOp and fields.inputs else None


def work_of(event: Any) -> Work | None:
    return op_work(event.name, arguments(event.typed[1].inputs))


def counted(roots: list[Any]) -> Counted[Any]:
    return count(roots, lambda event: cast("list[Any]", event.children), name_of, work_of)


def unknown_names(found: Counted[Any]) -> set[str]:
    return {event.name for event in found.unknown}
