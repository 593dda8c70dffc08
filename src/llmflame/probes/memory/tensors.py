"""The tensors that live in this process, by storage, and whose they are."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from llmflame.store.categories import KV_CACHE, TENSORS, WEIGHTS

DEPTH = 8
"""How deep in an object its tensors are looked for: a cache holds layers, which hold tensors or lists of
them."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The memory behind one tensor or several."""

    device: str
    """`cpu`, `cuda:0`."""
    address: int
    bytes: int
    category: str
    owner: str


def storages(root: Any, cache: Any = None, *, everything: bool = True) -> list[Storage]:
    """Each storage once: of the model's parameters and buffers, of a cache, and of all other live tensors.

    With `everything` the garbage collector's list of objects is walked, about 0.1 s.
    """
    found: dict[tuple[str, int], Storage] = {}
    for owner, tensor in _model_tensors(root):
        _add(found, tensor, WEIGHTS, owner)
    for owner, tensor in object_tensors(cache):
        _add(found, tensor, KV_CACHE, owner)
    if everything:
        for tensor in _live_tensors():
            _add(found, tensor, TENSORS, _in_words(tensor))
    return list(found.values())


def weight_bytes(root: Any) -> int:
    """Bytes of the parameters and buffers themselves, shared ones once."""
    seen: dict[tuple[str, int], int] = {}
    for _, tensor in _model_tensors(root):
        for inner in _plain(tensor):
            with contextlib.suppress(Exception):  # without memory of its own: not initialised, sparse
                seen[str(inner.device), inner.data_ptr()] = inner.nbytes
    return sum(seen.values())


def cache_storages(cache: Any) -> list[Storage]:
    """The storages of a cache object, whatever its class: dynamic, static, sliding, quantised, recurrent."""
    return storages(None, cache, everything=False)


def _model_tensors(root: Any) -> Iterator[tuple[str, Any]]:
    if root is None:
        return
    for named in (root.named_parameters, root.named_buffers):
        for name, tensor in named():
            yield name.rpartition(".")[0], tensor


def _live_tensors() -> Iterator[Any]:
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            yield thing


def _in_words(tensor: Any) -> str:
    """dtype and shape of a tensor that belongs to nobody; its class where it has no shape yet, or several."""
    try:
        return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
    except Exception:
        return type(tensor).__name__


def object_tensors(thing: Any, depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    """The tensors inside an object, with the place of each: through attributes, lists, tuples and dicts.

    Each tensor once, under the first place that leads to it, though objects may hold one another.
    """
    return _inside(thing, "", depth, {})


def _inside(
    thing: Any, path: str, depth: int, reached: dict[int, tuple[int, Any]]
) -> Iterator[tuple[str, Any]]:
    """`reached` has what was looked into, with how much deeper, and keeps it: numbers of objects recur."""
    before, _ = reached.get(id(thing), (-1, None))
    if thing is None or before >= depth:
        return
    reached[id(thing)] = (depth, thing)
    if issubclass(type(thing), torch.Tensor):
        if before < 0 and not _is_count(thing):
            yield path, thing
        return
    for name, inner in _parts(thing):
        yield from _inside(inner, f"{path}.{name}" if path else name, depth - 1, reached)


def _is_count(tensor: Any) -> bool:
    """A single number counts tokens."""
    try:
        return int(tensor.numel()) <= 1
    except Exception:  # of somebody else's class
        return False


def _parts(thing: Any) -> Iterable[tuple[str, Any]]:
    # Not `isinstance` and `hasattr`: both may run somebody else's code, which may raise.
    kind = type(thing)
    if issubclass(kind, list | tuple):
        return ((str(number), inner) for number, inner in enumerate(thing))
    if issubclass(kind, dict):
        return ((str(name), inner) for name, inner in thing.items())
    if issubclass(kind, torch.nn.Module | type):
        return ()
    if kind.__module__.partition(".")[0] in ("builtins", "torch", "functools"):
        return ()
    try:
        return list(object.__getattribute__(thing, "__dict__").items())
    except AttributeError:
        return ()


def _add(found: dict[tuple[str, int], Storage], tensor: Any, category: str, owner: str) -> None:
    for inner in _plain(tensor):
        try:
            storage = inner.untyped_storage()
            if storage.device.type == "meta":  # of a fake tensor, which claims another device
                continue
            key = (str(inner.device), storage.data_ptr())
            size = storage.nbytes()
        except Exception:  # sparse, not initialised, already freed, or of somebody else's class
            continue
        if size and key[1] and key not in found:
            found[key] = Storage(*key, size, category, owner)


def _plain(tensor: Any) -> Iterator[Any]:
    """A tensor that wraps others (a quantised one) by those."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None or type(tensor) in (torch.Tensor, torch.nn.Parameter):
        yield tensor
        return
    try:
        names, _ = flatten()
        wrapped = [getattr(tensor, name) for name in names]
    except Exception:  # of somebody else's class: what it holds stays unknown
        yield tensor
        return
    for inner in wrapped:
        yield from _plain(inner)
