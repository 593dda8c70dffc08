"""What a decode step must move and compute at least, from the loaded model: the numerators of MBU and MFU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmflame.planning.shape import Shape, shape_of
from llmflame.scratch.config import Config


@dataclass(frozen=True, slots=True)
class StepWork:
    """Of one step of a whole batch, at the mean length of the cache."""

    weight_bytes: int
    """All parameters and buffers in memory, shared ones once."""
    step_bytes: float
    flop: float


def step_work(model: Any, *, batch: int, prompt_tokens: int, new_tokens: int, kv_element: float) -> StepWork:
    """MBU counts each weight that a step uses once, and the keys and values that it looks at:

        bytes = weights without an embedding of its own + 2 L K D (prompt + new / 2) B bytes of an element

    as gpt-fast does (github.com/meta-pytorch/gpt-fast, `generate.py`), with the KV cache added. Operations
    are 2 for each weight of a product and row of the batch, and 4 L H D for each column that a query looks at
    (Kaplan et al. 2020, arXiv 2001.08361, table 1). `kv_element`: bytes of a key's or value's element.
    """
    config = model.config
    shape = _shape(config) if isinstance(config, Config) else shape_of(config)
    held = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}.values()
    weights = sum(tensor.nbytes for tensor in held)
    embedding, head = _ends(model)
    used = weights - (embedding.weight.nbytes if embedding is not None and not _tied(embedding, head) else 0)
    if shape is None:
        return StepWork(weights, float(used), 0.0)
    columns = prompt_tokens + new_tokens / 2
    kv = 2 * shape.layers * shape.kv_heads * shape.head_size * columns * batch * kv_element
    attention = 4 * shape.layers * shape.heads * shape.head_size * columns * batch
    return StepWork(weights, used + kv, 2.0 * batch * _product_weights(shape) + attention)


def _product_weights(shape: Shape) -> int:
    """Weights that a matrix product of a step multiplies with."""
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    layer = shape.hidden * (2 * queries + 2 * keys + 3 * shape.intermediate)
    return shape.layers * layer + shape.vocabulary * shape.hidden


def _shape(config: Config) -> Shape:
    return Shape(
        layers=config.layers,
        hidden=config.width,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_size=config.head_dim,
        intermediate=config.inner_width,
        vocabulary=config.vocabulary,
        tied=config.tied,
    )


def _ends(model: Any) -> tuple[Any, Any]:
    if isinstance(model.config, Config):
        return model.model.embed_tokens, model.lm_head
    return model.get_input_embeddings(), model.get_output_embeddings()


def _tied(embedding: Any, head: Any) -> bool:
    """A head of its own dtype isn't, whatever the config says: the embedding is then only looked up in."""
    weight = getattr(head, "weight", None)
    return weight is not None and weight.data_ptr() == embedding.weight.data_ptr()
