"""What ran when an exception was raised, read from its frames while they live: modules, tensors, request."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch

from llmflame.probes.memory.tensors import object_tensors
from llmflame.probes.paths import short_path
from llmflame.probes.sections import CACHE_NAMES

MOST_LINES = 40
LOCAL_DEPTH = 3
"""How deep in a local variable tensors are looked for: outputs hold tuples of tensors."""
_OWN_FOLDER = f"{Path(__file__).parents[2]}{os.sep}"
_MODULE_CALL = f"{os.sep}torch{os.sep}nn{os.sep}modules{os.sep}module.py"
_PLUMBING = (_MODULE_CALL, f"{os.sep}torch{os.sep}utils{os.sep}_contextlib.py")
"""torch's own frames around each call of a module or a decorated function."""
_CALLS = ("_wrapped_call_impl", "_call_impl")
_CACHES = (*CACHE_NAMES, "past_key_value", "cache")


@dataclass(frozen=True, slots=True)
class Place:
    """One frame of the exception's, as a person reads it."""

    module: str
    """The path of the `nn.Module` whose call it belongs to; empty above the model."""
    function: str
    file: str
    line: int

    def __str__(self) -> str:
        where = f"{self.function} ({short_path(self.file)}:{self.line})"
        return f"{self.module}  {where}" if self.module else where


@dataclass(slots=True)
class Scene:
    """What the frames tell. Holds on to their tensors: let go of it with the exception."""

    root: Any = None
    places: list[Place] = field(default_factory=list)
    """The outermost first."""
    tensors: dict[str, list[Any]] = field(default_factory=dict)
    """Those in local variables of the modules' frames, by the module's path."""
    cache: Any = None
    batch_size: int | None = None
    tokens: int | None = None
    """Per sequence, those in the cache and those that the step was given."""
    step: int | None = None
    """Index of the forward call in its request: 0 is prefill."""
    phase: str | None = None
    """`prefill` or `decode`; None outside of a forward call and of `generate`."""

    @property
    def module(self) -> str:
        """The innermost module that ran; empty where none did."""
        return self.places[-1].module if self.places else ""

    def stack(self) -> list[str]:
        """The innermost frames as lines, the outermost first."""
        lines = [str(place) for place in self.places]
        return lines if len(lines) <= MOST_LINES else ["...", *lines[-MOST_LINES + 1 :]]


@dataclass(frozen=True, slots=True)
class _Frame:
    name: str
    file: str
    line: int
    locals: Mapping[str, Any]

    @property
    def is_module_call(self) -> bool:
        return self.file.endswith(_MODULE_CALL) and self.name in _CALLS


def read_scene(errors: Iterable[BaseException], root: Any = None) -> Scene:
    """The scene of an exception and of those that led to it, the outermost first. Without a root module, the
    largest model among the frames' variables is it."""
    frames = _frames(errors)
    scene = Scene(root if root is not None else _largest_model(frames))
    names = _module_names(scene.root)
    module = ""
    for frame in frames:
        owner = frame.locals.get("self")
        if isinstance(owner, torch.nn.Module) and id(owner) in names:
            module = names[id(owner)] or type(owner).__name__
        if module:
            _collect(scene, module, frame)
        if not frame.file.startswith(_OWN_FOLDER) and not frame.file.endswith(_PLUMBING):
            scene.places.append(Place(module, frame.name, frame.file, frame.line))
    scene.cache = _cache_of(frames)
    _describe_request(scene, frames)
    return scene


def _frames(errors: Iterable[BaseException]) -> list[_Frame]:
    found: dict[FrameType, int] = {}
    for error in errors:
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            found[trace.tb_frame] = trace.tb_lineno
            trace = trace.tb_next
    return [_Frame(f.f_code.co_name, f.f_code.co_filename, line, _locals(f)) for f, line in found.items()]


def _locals(frame: FrameType) -> dict[str, Any]:
    """A copy of a frame's variables that leaves no trace in the frame.

    Before Python 3.13 a frame keeps the dict that it is asked for, and with it every value, when the program
    has let go of them: it is emptied, unless somebody else holds it too.
    """
    values = frame.f_locals
    copy = dict(values)
    if (
        type(values) is dict
        and frame.f_code.co_flags & inspect.CO_OPTIMIZED
        and sys.getrefcount(values) <= len(("the frame", "`values`", "the argument"))
    ):
        values.clear()
    return copy


def _largest_model(frames: list[_Frame]) -> Any:
    candidates: dict[int, Any] = {}
    for frame in frames:
        for value in frame.locals.values():
            # A pipeline keeps its model as an attribute; looked up where no property can answer.
            inner = getattr(value, "__dict__", {}).get("model") if _is_plain(value) else None
            for one in (value, inner):
                if isinstance(one, torch.nn.Module):
                    candidates[id(one)] = one
    return max(candidates.values(), key=lambda one: len(_module_names(one)), default=None)


def _is_plain(value: Any) -> bool:
    return not isinstance(value, type | torch.nn.Module) and hasattr(type(value), "__dict__")


def _module_names(root: Any) -> dict[int, str]:
    try:
        return {id(module): name for name, module in root.named_modules()} if root is not None else {}
    except AttributeError:  # its __init__ has not come that far
        return {id(root): ""}


def _collect(scene: Scene, module: str, frame: _Frame) -> None:
    found = scene.tensors.setdefault(module, [])
    for name, value in frame.locals.items():
        if name != "self":
            found += [tensor for _, tensor in object_tensors(value, depth=LOCAL_DEPTH)]


def _cache_of(frames: list[_Frame]) -> Any:
    """The outermost that is handed down: inner frames may have a layer's part of it."""
    for frame in frames:
        for holder in (frame.locals, frame.locals.get("kwargs"), frame.locals.get("model_kwargs")):
            for name in _CACHES:
                cache = holder.get(name) if isinstance(holder, Mapping) else None
                if cache is not None and any(True for _ in object_tensors(cache)):
                    return cache
    return None


def _describe_request(scene: Scene, frames: list[_Frame]) -> None:
    call = next((f for f in frames if f.is_module_call and f.locals.get("self") is scene.root), None)
    generation = list(_until(frames, call))
    prompt = next((f.locals["input_ids_length"] for f in generation if "input_ids_length" in f.locals), None)
    shapes = [shape for f in generation if (shape := _shape(f.locals.get("input_ids")))]
    if isinstance(prompt, int) and shapes:
        scene.batch_size, scene.tokens = max(shapes, key=lambda shape: shape[1])
        scene.step = scene.tokens - prompt
        scene.phase = "decode" if scene.step else "prefill"
        return
    if call is None:
        return
    args, kwargs = call.locals.get("args", ()), call.locals.get("kwargs", {})
    given = (kwargs.get("input_ids"), kwargs.get("inputs_embeds"), *args[:1])
    shape = next((shape for one in given if (shape := _shape(one))), None)
    if shape is None:
        return
    scene.batch_size, query = shape
    mask = _shape(kwargs.get("attention_mask"))
    scene.tokens = max(query, mask[1] if mask else _cached_tokens(scene.cache))
    scene.phase, scene.step = ("prefill", 0) if query > 1 else ("decode", None)


def _until(frames: list[_Frame], last: _Frame | None) -> Iterator[_Frame]:
    """The frames of a request's loop: from `generate` to the model's call."""
    inside = False
    for frame in frames:
        if frame is last:
            return
        inside = inside or frame.name == "generate"
        if inside:
            yield frame


def _shape(tensor: Any) -> tuple[int, int] | None:
    if not isinstance(tensor, torch.Tensor) or tensor.ndim < 2:
        return None
    return int(tensor.shape[0]), int(tensor.shape[1])


def _cached_tokens(cache: Any) -> int:
    try:
        return int(cache.get_seq_length())
    except Exception:  # of somebody else's class
        return 0
