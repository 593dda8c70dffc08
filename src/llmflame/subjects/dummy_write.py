"""Writing a checkpoint of random weights: one shard in memory at a time, the same numbers on every run.

Matrices are drawn from the normal distribution with the config's `initializer_range`, norms are ones and
biases zeros: what an untrained model of this architecture starts with.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmflame.errors import UsageError
from llmflame.subjects import byte_tokenizer
from llmflame.subjects.progress import Progress

if TYPE_CHECKING:
    import torch

SHARD_BYTES = 2_000_000_000
_SPARE_BYTES = 256 << 20
_CHUNK_ELEMENTS = 1 << 22
_SEED = 20240923
_WORKERS = 4

Shapes = dict[str, tuple[int, ...]]


def write(
    config: Mapping[str, Any], target: Path, progress: Progress, *, shard_bytes: int = SHARD_BYTES
) -> None:
    """Write config, bfloat16 weights, generation config and tokenizer into the existing folder `target`."""
    shapes = parameter_shapes(config)
    total = sum(_bytes(shape) for shape in shapes.values())
    _check_space(target, total)
    plan = list(_plan(shapes, shard_bytes))
    names = _shard_names(len(plan))
    std = float(config.get("initializer_range", 0.02))
    for number, (name, shard) in enumerate(zip(names, plan, strict=True), 1):
        progress(f"writing random weights: shard {number} of {len(plan)}, {total / 1e9:.1f} GB in all")
        _write_shard(target / name, {key: shapes[key] for key in shard}, std)
    if len(plan) > 1:
        placement = {key: name for name, shard in zip(names, plan, strict=True) for key in shard}
        index = {"metadata": {"total_size": total}, "weight_map": placement}
        _write_json(target / "model.safetensors.index.json", index)
    _write_json(target / "config.json", dict(config))
    tokens = {key: config[key] for key in ("bos_token_id", "eos_token_id")}
    _write_json(target / "generation_config.json", {**tokens, "pad_token_id": tokens["eos_token_id"]})
    progress("writing the byte tokenizer")
    byte_tokenizer.write(target, config)


def parameter_shapes(config: Mapping[str, Any]) -> Shapes:
    """Names and shapes of all parameters as transformers makes them; tied weights once. Allocates nothing."""
    import torch
    import transformers

    fields = {key: value for key, value in config.items() if key != "model_type"}
    settings = transformers.AutoConfig.for_model(config["model_type"], **fields)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(settings)
    model.tie_weights()
    parameters = {name: tuple(value.shape) for name, value in model.named_parameters()}
    extra = set(model.state_dict()) - {name for name, _ in model.named_parameters(remove_duplicate=False)}
    if extra:
        raise UsageError(
            f"a dummy of {config['model_type']} can't be made: it has buffers {sorted(extra)[:3]}"
        )
    return parameters


def _bytes(shape: Sequence[int]) -> int:
    elements = 1
    for size in shape:
        elements *= size
    return 2 * elements


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target).free
    if free < needed + _SPARE_BYTES:
        raise UsageError(
            f"the random weights need {needed / 1e9:.1f} GB and the disk of the cache folder has "
            f"{free / 1e9:.1f} GB free: free some space or set LLMFLAME_CACHE"
        )


def _plan(shapes: Shapes, shard_bytes: int) -> Iterator[list[str]]:
    """The names of each shard, in the model's order; a tensor larger than a shard has one of its own."""
    shard: list[str] = []
    held = 0
    for name, shape in shapes.items():
        if shard and held + _bytes(shape) > shard_bytes:
            yield shard
            shard, held = [], 0
        shard.append(name)
        held += _bytes(shape)
    yield shard


def _shard_names(count: int) -> list[str]:
    if count == 1:
        return ["model.safetensors"]
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _write_shard(path: Path, shapes: Shapes, std: float) -> None:
    from safetensors.torch import save_file

    # Each tensor has its own seed, so neither threads nor shard borders change the numbers.
    with ThreadPoolExecutor(_WORKERS) as pool:
        values = pool.map(lambda name: _tensor(name, shapes[name], std), shapes)
        tensors = dict(zip(shapes, values, strict=True))
    save_file(tensors, path, metadata={"format": "pt"})


def _tensor(name: str, shape: tuple[int, ...], std: float) -> torch.Tensor:
    import torch

    if len(shape) == 1:
        fill = torch.zeros if name.endswith(".bias") else torch.ones
        return fill(shape, dtype=torch.bfloat16)
    tensor = torch.empty(shape, dtype=torch.bfloat16)
    generator = torch.Generator().manual_seed(_SEED ^ zlib.crc32(name.encode()))
    flat = tensor.view(-1)
    # Drawn in float32: bfloat16's own draw is slower, and coarser in the tails.
    scratch = torch.empty(min(_CHUNK_ELEMENTS, flat.numel()))
    for begin in range(0, flat.numel(), _CHUNK_ELEMENTS):
        part = flat[begin : begin + _CHUNK_ELEMENTS]
        part.copy_(scratch[: part.numel()].normal_(0.0, std, generator=generator))
    return tensor


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
