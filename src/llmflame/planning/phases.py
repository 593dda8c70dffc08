"""What is held in each phase of a request, as what, and why."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.planning.attention import DeviceKind
from llmflame.planning.process import Amount
from llmflame.planning.request import Footprint, Peak, Request
from llmflame.planning.shape import Shape
from llmflame.store import categories
from llmflame.store.rows import Space

LOAD, PREFILL, DECODE = "load", "prefill", "decode"


@dataclass(frozen=True, slots=True)
class Item:
    """Bytes of one category, and a sentence that says where the number comes from."""

    category: str
    bytes: int
    formula: str
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """What is held when most is in one phase."""

    name: str
    space: Space
    items: tuple[Item, ...]

    @property
    def total(self) -> int:
        """Bytes of all categories."""
        return sum(item.bytes for item in self.items)

    @property
    def needed(self) -> int:
        """Without what an allocator keeps for later: where memory is short it gives that back."""
        return sum(item.bytes for item in self.items if item.category != categories.SLACK)


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's weights, on disk and in memory."""

    memory: Amount
    """Parameters and buffers in the dtype that the model runs in."""
    checkpoint_bytes: int
    """The tensors of the weight files."""
    mapped: bool
    """Whether they are used where they lie in the mapped files: on a CPU, in the checkpoint's own dtype."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is held beside a request's tensors."""

    runtime: Amount | None = None
    """Host: the process without tensors."""
    context: Amount | None = None
    workspace: Amount | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """The sentences of a request's categories, in the order of `_REQUEST`."""

    prefill: tuple[str, str, str, str]
    decode: tuple[str, str, str, str]


def phases(
    weights: Weights, footprint: Footprint, texts: Texts, kind: DeviceKind, around: Surroundings
) -> tuple[Phase, ...]:
    """Load, prefill and decode in the memory that the model runs in: the host's, or the device's."""
    space: Space = "host" if kind == "cpu" else "device"
    beside = tuple(
        Item(category, amount.bytes, amount.formula, amount.estimated)
        for category, amount in ((categories.CONTEXT, around.context), (categories.RUNTIME, around.runtime))
        if amount is not None
    )
    held = _held_weights(weights)
    loading = tuple(_unread(item) for item in held)
    if kind == "cpu" and not weights.mapped:
        formula = "pages of the weight files, mapped and resident until all is converted"
        loading = (*held, Item(categories.CHECKPOINT, weights.checkpoint_bytes, formula))
    working = beside
    if around.workspace is not None:
        item = Item(categories.WORKSPACE, around.workspace.bytes, around.workspace.formula)
        working = (item, *beside)
    prefill = (*held, *_request_items(footprint.prefill, texts.prefill), *working)
    decode = (*held, *_request_items(footprint.decode, texts.decode), *working)
    taken = footprint.reserved
    return (
        Phase(LOAD, space, _with_slack((*loading, *beside), taken.load if taken else 0)),
        Phase(PREFILL, space, _with_slack(prefill, taken.prefill if taken else 0)),
        Phase(DECODE, space, _with_slack(decode, taken.decode if taken else 0)),
    )


def _with_slack(items: tuple[Item, ...], reserved_bytes: int) -> tuple[Item, ...]:
    """What the device's allocator has taken and nobody holds; it never gives back by itself."""
    in_use = sum(item.bytes for item in items if item.category != categories.CONTEXT)
    slack = reserved_bytes - in_use
    if slack <= 0:
        return items
    words = "kept by torch's allocator: the same tensors through its rules of segments and blocks"
    return (*items, Item(categories.SLACK, slack, words))


_REQUEST = (categories.KV_CACHE, categories.ACTIVATIONS, categories.TEMPORARIES, categories.TENSORS)


def _request_items(peak: Peak, sentences: tuple[str, ...]) -> tuple[Item, ...]:
    amounts = (peak.kv_cache, peak.activations, peak.temporaries, peak.tensors)
    return tuple(
        Item(category, amount, sentence)
        for category, amount, sentence in zip(_REQUEST, amounts, sentences, strict=True)
        if amount
    )


def _unread(item: Item) -> Item:
    """Mapped files take no memory before they are read, which is when the model first runs."""
    if item.category != categories.CHECKPOINT:
        return item
    return Item(item.category, 0, "mapped files, read when the model first runs")


def _held_weights(weights: Weights) -> tuple[Item, ...]:
    memory = weights.memory
    if not weights.mapped:
        return (Item(categories.WEIGHTS, memory.bytes, memory.formula, memory.estimated),)
    files = Item(
        categories.CHECKPOINT,
        min(weights.checkpoint_bytes, memory.bytes),
        f"read where they lie in the mapped files: {memory.formula}",
        memory.estimated,
    )
    rest = memory.bytes - files.bytes
    return (Item(categories.WEIGHTS, rest, "buffers, which no file holds"), files) if rest else (files,)


def texts(footprint: Footprint, request: Request, shape: Shape | None, attention: str) -> Texts:
    """Where the numbers of a request come from, in words."""
    simulated = footprint.method == "simulation"
    how = "counted over every operator on tensors without data" if simulated else "closed form"
    scores = f"; {attention} attention" if attention else ""
    cache = _cache_text(shape, request)
    return Texts(
        prefill=(
            cache.format(tokens=f"{request.prompt_tokens:,}", more=""),
            f"handed from module to module at the peak, {how}",
            f"made and given back within a module at the peak, {how}{scores}",
            "token ids, attention mask and positions: 3 x 8 bytes a token",
        ),
        decode=(
            cache.format(
                tokens=f"{request.cached_tokens:,}",
                more="" if request.static_cache else ", and one layer's old keys while they are copied",
            ),
            f"of one token's step, {how}",
            f"of one token's step, {how}{scores}",
            "token ids, attention mask and positions, and the last step's scores in float32",
        ),
    )


def _cache_text(shape: Shape | None, request: Request) -> str:
    if request.static_cache:
        return "a static cache of all {tokens} tokens and those to come{more}".replace("{tokens} ", "")
    if shape is None:
        return "storages of the cache that the model returns after {tokens} tokens{more}"
    sliding = f", {shape.sliding_layers} of them sliding" if shape.sliding_layers else ""
    return (
        f"2 x {shape.layers} layers{sliding} x {shape.kv_heads} heads x {shape.head_size} x bytes x "
        f"{{tokens}} tokens x {request.batch}{{more}}"
    )
