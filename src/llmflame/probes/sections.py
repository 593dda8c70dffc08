"""Cuts one request into sections without a gap: tokenize, prepare, each forward step, detokenize.

A step reaches from one call of the root module to the next (the last one to the end of generation), so it
holds the forward pass, the choice of the token, the stopping check and the next call's preparation.
`transformers` reads each step's token back to the host before it prepares the next call, so a step never
ends before its token is there.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmflame.probes.counters import Counters, Edge

if TYPE_CHECKING:
    import torch

STEP = "step"
CACHE_NAMES = ("past_key_values", "cache_params", "state")
"""What models call their cache, as an argument and in what they return."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a request between two edges."""

    name: str
    """`tokenize`, `prepare`, `step` or `detokenize`."""
    index: int | None
    """Of a step: which forward call of the request, from 0."""
    begin: Edge
    end: Edge
    query_tokens: int = 0
    """Of a step, per sequence: the length of the call's input."""
    kv_tokens: int = 0
    """Of a step, per sequence: how many tokens came before it in this request."""
    batch_size: int = 0
    forward_ns: int | None = None
    """Of a step: the forward call alone, on the host."""


Watcher = Callable[[str, int | None], bool]
"""Told a section's name and index; True where it took time that belongs to no section."""


class RequestProbe:
    """Collects the sections of one request at a time, from two hooks on the root module.

    `opening` is called, off the clock, before a section begins and `closing` after it has ended, each with
    the section's name and index; `called`, on the clock, when a step's forward call has returned.
    """

    def __init__(
        self,
        counters: Counters,
        *,
        opening: Watcher | None = None,
        closing: Watcher | None = None,
        called: Watcher | None = None,
    ) -> None:
        self._counters = counters
        self._opening = opening
        self._closing = closing
        self._called = called
        self._handles: list[Any] = []
        self._root: Any = None
        self.in_compiled_call = False
        """Is the step that begins one that torch.compile made? Its modules' hooks don't run."""
        self._reset()

    def _reset(self) -> None:
        self._sections: list[Section] = []
        self._current: tuple[str, int | None] | None = None
        self._begin: Edge | None = None
        self._forward_end_ns: int | None = None
        self._shape = (0, 0)
        self._kv_tokens = 0
        self._steps = 0
        self._cache: Callable[[], Any] = lambda: None

    @property
    def cache(self) -> Any:
        """The cache object that the last step was given or has returned, while it lives; else None."""
        return self._cache()

    @property
    def query_tokens(self) -> int:
        """Of the step that runs or has just ended, per sequence: the length of its call's input."""
        return self._shape[1]

    def attach(self, root: torch.nn.Module) -> None:
        """Hook the root module. Raises RuntimeError when attached already."""
        if self._handles:
            raise RuntimeError("the request probe is attached already")
        self._handles = [
            root.register_forward_pre_hook(self._before_forward, with_kwargs=True),
            root.register_forward_hook(self._after_forward),
        ]
        self._root = root
        compiled_call: Any = getattr(root, "get_compiled_call", None)
        if compiled_call is not None and "get_compiled_call" not in vars(root):
            vars(root)["get_compiled_call"] = self._marking(compiled_call)

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        root, self._root = self._root, None
        if root is not None:
            vars(root).pop("get_compiled_call", None)

    def _marking(self, get_compiled_call: Callable[..., Any]) -> Callable[..., Any]:
        """`transformers` asks this public method of a model for the call that decodes with a static cache."""

        def marked(*args: Any, **kwargs: Any) -> Callable[..., Any]:
            compiled = get_compiled_call(*args, **kwargs)

            def step(*inputs: Any, **named: Any) -> Any:
                self.in_compiled_call = True
                try:
                    self._begin_step(inputs, named)
                    output = compiled(*inputs, **named)
                    self._note_cache(output)
                    self._notify(self._called, self._current)
                    return output
                finally:
                    self.in_compiled_call = False
                    self._forward_end_ns = time.perf_counter_ns()

            return step

        return marked

    def enter(self, name: str, index: int | None = None) -> None:
        """End the section that runs, if any, and begin the named one."""
        edge = self._counters.read()
        ended = self._end(edge)
        busy = self._notify(self._closing, ended)
        if self._notify(self._opening, (name, index)) or busy:
            edge = self._counters.read()
        self._current, self._begin = (name, index), edge

    def finish(self) -> list[Section]:
        """End the request; returns its sections in order and starts anew."""
        self._notify(self._closing, self._end(self._counters.read()))
        sections = self._sections
        self._reset()
        return sections

    def abort(self) -> None:
        """Forget a request that failed half-way."""
        # A device that failed fails every further call too: the program's error is the one to be told.
        with contextlib.suppress(Exception):
            self._notify(self._closing, self._current)
        self._reset()

    @staticmethod
    def _notify(watcher: Watcher | None, section: tuple[str, int | None] | None) -> bool:
        return watcher is not None and section is not None and watcher(*section)

    def _before_forward(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self.in_compiled_call:
            self._begin_step(args, kwargs)

    def _begin_step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        index, self._steps = self._steps, self._steps + 1
        self._note_cache(kwargs)
        self.enter(STEP, index)
        self._shape = _query_shape(args, kwargs)

    def _after_forward(self, _module: Any, _args: Any, output: Any) -> None:
        if not self.in_compiled_call:
            self._forward_end_ns = time.perf_counter_ns()
            self._note_cache(output)
            self._notify(self._called, self._current)

    def _note_cache(self, holder: Any) -> None:
        """Models give the cache that they were given back, or a new one, under one of a few names."""
        for name in CACHE_NAMES:
            cache = holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
            if cache is not None:
                self._cache = _weakly(cache)
                return

    def _end(self, edge: Edge) -> tuple[str, int | None] | None:
        if self._current is None or self._begin is None:
            return None
        (name, index), begin = self._current, self._begin
        if name == STEP:
            batch_size, query_tokens = self._shape
            forward_ns = None if self._forward_end_ns is None else self._forward_end_ns - begin.time_ns
            section = Section(name, index, begin, edge, query_tokens, self._kv_tokens, batch_size, forward_ns)
            self._kv_tokens += query_tokens
            self._forward_end_ns = None
        else:
            section = Section(name, index, begin, edge)
        self._sections.append(section)
        self._current = self._begin = None
        return name, index


def _weakly(thing: Any) -> Callable[[], Any]:
    """A reference that keeps nothing alive, where the object allows one: a tuple of tensors does not."""
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: thing


def _query_shape(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, int]:
    """(batch, tokens) of a call's input; (0, 0) where it can't be told."""
    for name in ("input_ids", "inputs_embeds"):
        tensor = kwargs.get(name)
        if tensor is not None:
            return int(tensor.shape[0]), int(tensor.shape[1])
    if args and getattr(args[0], "ndim", 0) >= 2:
        return int(args[0].shape[0]), int(args[0].shape[1])
    return 0, 0


def prefill_count(steps: list[Section]) -> int:
    """How many of the first steps are prefill: one, or more where the prompt is fed in chunks."""
    count = 0
    for step in steps:
        if count and step.query_tokens <= 1:
            break
        count += 1
    return count
