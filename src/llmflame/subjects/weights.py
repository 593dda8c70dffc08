"""The weight files of a checkpoint folder, checked, and what their headers add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.subjects import safetensors_header
from llmflame.subjects.model_config import ModelConfig
from llmflame.subjects.safetensors_header import TensorEntry

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_BUFFERS = (
    ".attn.bias",
    ".attn.masked_bias",
    ".attention.bias",
    ".attention.masked_bias",
    "rotary_emb.inv_freq",
)
"""Constants that old checkpoints store beside the parameters: causal masks and rotary frequencies."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight files of one checkpoint."""

    files: tuple[Path, ...]
    bytes: int
    parameters: int | None
    dtype: str | None


def find(folder: Path, config: ModelConfig, *, allow_pickle: bool) -> Weights:
    """Find and check the weights that transformers would load. Raises UsageError with one line."""
    if (folder / _SINGLE).is_file():
        files: tuple[Path, ...] = (folder / _SINGLE,)
        entries = safetensors_header.read(files[0])
    elif (folder / _INDEX).is_file():
        files, entries = _shards(folder)
    else:
        return _pickled(folder, config, allow_pickle)
    if not entries:
        raise UsageError(f"{files[0]} holds no tensors")
    return Weights(files, _size(files), _parameters(entries, config), _dominant_dtype(entries))


def _shards(folder: Path) -> tuple[tuple[Path, ...], tuple[TensorEntry, ...]]:
    """The shards that the index names, with all entries; each tensor must be in the shard the index says."""
    placement = _placement(folder / _INDEX)
    names = sorted(set(placement.values()))
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder} lacks {len(missing)} of its {len(names)} shards, e.g. {missing[0]}")
    entries: list[TensorEntry] = []
    for name in names:
        shard = safetensors_header.read(folder / name)
        wanted = {tensor for tensor, place in placement.items() if place == name}
        if lost := sorted(wanted - {entry.name for entry in shard}):
            raise UsageError(f"{folder / name} lacks tensor `{lost[0]}`, which the index places there")
        entries += shard
    return tuple(folder / name for name in names), tuple(entries)


def _placement(index: Path) -> dict[str, str]:
    try:
        document = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        document = None
    placement = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(placement, dict) or not placement:
        raise UsageError(f"{index} is damaged: it has no `weight_map`")
    if not all(isinstance(name, str) for name in placement.values()):
        raise UsageError(f"{index} is damaged: its `weight_map` must name a file for each tensor")
    return placement


def _pickled(folder: Path, config: ModelConfig, allow_pickle: bool) -> Weights:
    files = tuple(sorted({path for pattern in _PICKLED for path in folder.glob(pattern)}))
    if not files:
        hint = ""
        if (folder / "adapter_config.json").is_file():
            hint = "; it is an adapter: merge it into its base model first"
        raise UsageError(f"{folder} has no weights: no {_SINGLE} and no {_INDEX}{hint}")
    if not allow_pickle:
        raise UsageError(
            f"{folder} has only pickled weights ({files[0].name}), which can run code when they are loaded: "
            "convert them to safetensors, or pass --allow-pickle if you trust them"
        )
    return Weights(files, _size(files), None, config.dtype)


def _size(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _parameters(entries: Iterable[TensorEntry], config: ModelConfig) -> int | None:
    """Elements of all parameters; a stored copy of the tied output layer doesn't count."""
    if config.quantised:
        return None
    parameters = {entry.name: entry for entry in entries if not entry.name.endswith(_BUFFERS)}
    total = sum(entry.elements for entry in parameters.values())
    head = next((entry for name, entry in parameters.items() if name.endswith("lm_head.weight")), None)
    if head is None or not config.tied:
        return total
    twins = [entry for entry in parameters.values() if entry is not head and entry.shape == head.shape]
    return total - head.elements if twins else total


def _dominant_dtype(entries: Iterable[TensorEntry]) -> str:
    held: Counter[str] = Counter()
    for entry in entries:
        held[entry.dtype] += entry.end - entry.begin
    return safetensors_header.torch_name(held.most_common(1)[0][0])
