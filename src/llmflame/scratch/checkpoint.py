"""Loading a model from a folder in the Hugging Face hub's layout: config.json and safetensors files.

Only safetensors: a pickle can run any code when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from llmflame.scratch.config import read_config, read_json
from llmflame.scratch.errors import CheckpointError, SettingError
from llmflame.scratch.model import LanguageModel

DTYPES = ("float32", "bfloat16", "float16")
_STORED = ("F32", "BF16", "F16")
"""The same in the format's spelling; integers would need scales that nobody has asked for."""
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_HEAD = "lm_head.weight"
_EMBEDDING = "model.embed_tokens.weight"
_CONSTANTS = ".rotary_emb.inv_freq"
"""Stored beside the parameters by old versions of transformers; computed here."""
_NAMED = 3
"""As many tensors of each kind of mistake are named."""


def load(folder: Path, dtype: str = "auto", device: str = "cpu") -> LanguageModel:
    """Build the model of a folder, in `dtype` (auto: the checkpoint's). Raises a ScratchError.

    It is built without data first; then each tensor is read, converted and put in its place, so that never
    more than one is there twice.
    """
    config = read_config(folder)
    name = config.dtype if dtype == "auto" else dtype
    if name not in DTYPES:
        raise SettingError(f"dtype {name[:40]} isn't supported; {', '.join(DTYPES)} are")
    with torch.device("meta"):
        model = LanguageModel(config)
    with ExitStack() as stack:
        stored = _open(folder, stack)
        # A tied model's parameters have the embedding once, as its first name.
        wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        extra_head = config.tied and _HEAD in stored and _EMBEDDING in stored
        _check(folder, wanted, {k: v for k, v in stored.items() if not (extra_head and k == _HEAD)})
        if extra_head and not torch.equal(*(stored[key].get_tensor(key) for key in (_HEAD, _EMBEDDING))):
            raise CheckpointError(
                f"{folder} ties {_HEAD} to the embedding in config.json, but stores another"
            )
        for key in wanted:
            tensor = stored[key].get_tensor(key).to(device, getattr(torch, name))
            _put(model, key, tensor)
    if config.tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model.to(device).eval().requires_grad_(False)


def _open(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """The file that holds each tensor, by the tensor's name; files stay open as long as `stack`."""
    stored: dict[str, Any] = {}
    for path in _files(folder):
        try:
            file = stack.enter_context(safe_open(path, "pt"))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} can't be read as safetensors ({error})") from error
        for key in file.keys():  # noqa: SIM118  it isn't a dict
            if key in stored:
                raise CheckpointError(f"{path} holds {key[:80]}, and so does another shard")
            if not key.endswith(_CONSTANTS):
                stored[key] = file
    return stored


def _files(folder: Path) -> list[Path]:
    """The one file, or the shards that the index names."""
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if (folder / _INDEX).is_file():
        places = read_json(folder / _INDEX).get("weight_map")
        names = {str(name) for name in places.values()} if isinstance(places, dict) else set()
        if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
            raise CheckpointError(f"{folder / _INDEX} is damaged: its weight_map must name safetensors files")
        return [folder / name for name in sorted(names)]
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise CheckpointError(
            f"{folder} has only pickled weights ({pickled[0]}), which can run code: not loaded"
        )
    raise CheckpointError(f"{folder} has no weights: no {_SINGLE} and no {_INDEX}")


def _check(folder: Path, wanted: Mapping[str, tuple[int, ...]], stored: Mapping[str, Any]) -> None:
    """Every parameter is there in its shape, and nothing else: a CheckpointError names what isn't so."""
    missing = [key for key in wanted if key not in stored]
    extra = [key for key in stored if key not in wanted]
    wrong = []
    for key in sorted(wanted.keys() & stored.keys()):
        header = stored[key].get_slice(key)
        shape, dtype = tuple(header.get_shape()), header.get_dtype()
        if shape != wanted[key] or dtype not in _STORED:
            wrong.append(f"{key} is {dtype} {list(shape)} instead of {list(wanted[key])}")
    found = [_named("missing", missing), _named("extra", extra), _named("of a wrong shape or type", wrong)]
    if any(found):
        raise CheckpointError(f"{folder} doesn't fit its config.json: {'; '.join(filter(None, found))}")


def _named(kind: str, names: Iterable[str]) -> str:
    """`2 missing (a, b)`; nothing for none."""
    listed = list(names)
    more = ", ..." if len(listed) > _NAMED else ""
    return (
        f"{len(listed)} {kind} ({', '.join(name[:120] for name in listed[:_NAMED])}{more})" if listed else ""
    )


def _put(model: nn.Module, key: str, tensor: Tensor) -> None:
    """Give the parameter of that name its data."""
    module, _, name = key.rpartition(".")
    setattr(model.get_submodule(module), name, nn.Parameter(tensor, requires_grad=False))
