"""Memory of a decoder in closed form: where its code can't be run without data, and as a check of that.

Sizes: L layers, D hidden, H query heads, K key/value heads, d head size, I intermediate, V vocabulary,
B sequences, T tokens of the prompt, a bytes of an element.
"""

from __future__ import annotations

from dataclasses import replace

from llmflame.planning.request import Footprint, Peak, Request
from llmflame.planning.shape import Shape

FLOAT32_BYTES = 4
ID_BYTES = 8
_INPUTS = 3
"""Token ids, attention mask and position ids, int64 each."""


def weight_bytes(shape: Shape, element_bytes: int) -> int:
    """L (D (H + 2K) d + H d D + 3 D I + 2 D) + D + V D, the last twice unless tied; no biases."""
    attention = shape.hidden * (2 * shape.heads + 2 * shape.kv_heads) * shape.head_size
    layer = attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    tables = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    return (shape.layers * layer + shape.hidden + tables) * element_bytes


def kv_bytes(shape: Shape, tokens: int, batch: int, element_bytes: int) -> int:
    """2 K d a for each layer, token and sequence; a sliding layer keeps one token less than its window.

    (The next token completes it: transformers' `DynamicSlidingWindowLayer`.)
    """
    kept = min(tokens, shape.window - 1) if shape.window else tokens
    rows = (shape.layers - shape.sliding_layers) * tokens + shape.sliding_layers * kept
    return 2 * shape.kv_heads * shape.head_size * element_bytes * rows * batch


def footprint(shape: Shape, request: Request, element_bytes: int, attention: str = "sdpa") -> Footprint:
    """What the request holds beyond the weights, from the sizes alone.

    In prefill the larger of the MLP's and the attention's needs. An MLP written as down(act(gate(x)) * up(x))
    holds three tensors of B T I at once: act(gate(x)), up(x) and their product.
    """
    batch, tokens = request.batch, request.prompt_tokens
    cached = request.cached_tokens
    element, vocabulary = element_bytes, batch * shape.vocabulary
    prefill = _layer_peak(shape, batch, tokens, tokens, element, attention)
    step = _layer_peak(shape, batch, 1, cached, element, attention)
    if request.static_cache:
        whole = kv_bytes(shape, tokens + request.new_tokens, batch, element)
        cache = (whole, whole)
        growing = 0
    else:
        # The prompt is in the cache as a whole: a sliding layer is cut when the next token comes.
        full = replace(shape, sliding_layers=0, window=None)
        cache = (kv_bytes(full, tokens, batch, element), kv_bytes(shape, cached, batch, element))
        growing = batch * shape.kv_heads * shape.head_size * element * (cached - 1)
    head = vocabulary * (element + FLOAT32_BYTES)
    begin, end = (
        Peak(
            kv_cache=held + extra,
            activations=layer,
            temporaries=0,
            tensors=_INPUTS * ID_BYTES * batch * length + scores,
        )
        for held, extra, layer, length, scores in (
            (cache[0], 0, max(prefill, head), tokens, 0),
            (cache[1], growing, max(step, head), cached, vocabulary * FLOAT32_BYTES),
        )
    )
    return Footprint(
        prefill=begin,
        decode=end,
        kv_bytes=cache[1],
        kv_bytes_per_token=2.0 * shape.layers * shape.kv_heads * shape.head_size * element,
        method="formula",
    )


def _layer_peak(shape: Shape, batch: int, queries: int, keys: int, element: int, attention: str) -> int:
    """Of one layer: B T a (3 I + 4 D + 2 d) in the MLP, B T a (4 D + 3 H d + 2 K d + 2 d) in attention.

    The 4 D are the embeddings, the residual, its normalised copy and what is added to it; the 2 d the rotary
    cosines and sines. Eager attention writes out B H T S scores: twice in the model's type, and in float32
    for the softmax.
    """
    common = 4 * shape.hidden + 2 * shape.head_size
    mlp = 3 * shape.intermediate + common
    rotated = (3 * shape.heads + 2 * shape.kv_heads) * shape.head_size + common
    tokens = batch * queries
    if attention != "eager":
        return tokens * element * max(mlp, rotated)
    scores = batch * shape.heads * queries * keys
    softmax = 2 * FLOAT32_BYTES if element < FLOAT32_BYTES else FLOAT32_BYTES
    repeated = 2 * batch * keys * shape.heads * shape.head_size
    in_attention = tokens * element * (rotated - shape.hidden) + (repeated + scores) * element
    return max(tokens * element * mlp, in_attention + scores * softmax)
