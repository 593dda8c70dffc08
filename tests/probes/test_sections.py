"""A request is cut into sections without a gap, from two hooks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from torch import nn

from llmflame.probes.counters import Counters, Edge
from llmflame.probes.sections import STEP, RequestProbe, Section, prefill_count

PREFILL, DECODE = 10, 1


class Clock:
    """Counters whose time passes only where the program works: one edge for each reading."""

    def __init__(self) -> None:
        self.now = 0
        self.readings = 0

    def read(self) -> Edge:
        self.readings += 1
        return Edge(self.now, self.now, self.now, None, None, None, None, None, None)


class Model(nn.Module):
    """Takes 10 ticks for a prompt, 1 for a token."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.fails = False

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        self.clock.now += PREFILL if input_ids.shape[1] > 1 else DECODE
        if self.fails:
            raise ArithmeticError("no")
        return input_ids


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _probe(clock: Clock, **watchers: Any) -> RequestProbe:
    return RequestProbe(cast("Counters", clock), **watchers)


def _hooks(model: nn.Module) -> int:
    return len(model._forward_hooks) + len(model._forward_pre_hooks)


def _generate(model: Model, probe: RequestProbe, *lengths: int, batch: int = 1, between: int = 0) -> None:
    """A pipeline: tokenize takes 2 ticks, prepare 3, detokenize 4."""
    probe.enter("tokenize")
    model.clock.now += 2
    probe.enter("prepare")
    model.clock.now += 3
    for length in lengths:
        model(input_ids=torch.zeros(batch, length, dtype=torch.long))
        model.clock.now += between
    probe.enter("detokenize")
    model.clock.now += 4


def _times(sections: list[Section]) -> list[tuple[str, int | None, int]]:
    return [(s.name, s.index, s.end.time_ns - s.begin.time_ns) for s in sections]


def test_sections_are_contiguous_and_exact(clock: Clock) -> None:
    model, probe = Model(clock), _probe(clock)
    probe.attach(model)
    _generate(model, probe, 7, 1, 1, batch=2)
    sections = probe.finish()
    assert _times(sections) == [
        ("tokenize", None, 2),
        ("prepare", None, 3),
        (STEP, 0, 10),
        (STEP, 1, 1),
        (STEP, 2, 1),
        ("detokenize", None, 4),
    ]
    assert all(earlier.end is later.begin for earlier, later in pairwise(sections))
    assert clock.readings == len(sections) + 1
    steps = [s for s in sections if s.name == STEP]
    assert [(s.batch_size, s.query_tokens, s.kv_tokens) for s in steps] == [(2, 7, 0), (2, 1, 7), (2, 1, 8)]
    assert all(s.forward_ns is not None for s in steps)
    others = [s for s in sections if s.name != STEP]
    assert {(s.batch_size, s.query_tokens, s.kv_tokens, s.forward_ns) for s in others} == {(0, 0, 0, None)}


def test_a_step_reaches_to_the_next_call(clock: Clock) -> None:
    model, probe = Model(clock), _probe(clock)
    probe.attach(model)
    _generate(model, probe, 4, 1, between=5)
    assert _times(probe.finish())[2:4] == [(STEP, 0, 15), (STEP, 1, 6)]


def test_each_request_starts_anew(clock: Clock) -> None:
    model, probe = Model(clock), _probe(clock)
    probe.attach(model)
    _generate(model, probe, 4, 1)
    first = _times(probe.finish())
    clock.now += 1000
    _generate(model, probe, 4, 1)
    again = probe.finish()
    assert _times(again) == first
    assert [s.kv_tokens for s in again if s.name == STEP] == [0, 4]
    assert probe.finish() == []


class Log:
    """Writes down what it is told of; where it says so, it took time."""

    def __init__(self, clock: Clock, busy_ns: int) -> None:
        self.calls: list[tuple[str, str, int | None]] = []
        self._clock = clock
        self._busy_ns = busy_ns

    def opening(self, name: str, index: int | None) -> bool:
        return self._told("open", name, index)

    def closing(self, name: str, index: int | None) -> bool:
        return self._told("close", name, index)

    def _told(self, event: str, name: str, index: int | None) -> bool:
        self.calls.append((event, name, index))
        self._clock.now += self._busy_ns
        return self._busy_ns > 0


@pytest.mark.parametrize("busy_ns", [0, 100])
def test_watchers_are_told_in_order_and_off_the_clock(clock: Clock, busy_ns: int) -> None:
    log, model = Log(clock, busy_ns), Model(clock)
    probe = _probe(clock, opening=log.opening, closing=log.closing)
    probe.attach(model)
    _generate(model, probe, 7, 1)
    sections = probe.finish()
    order: list[tuple[str, int | None]] = [
        ("tokenize", None),
        ("prepare", None),
        (STEP, 0),
        (STEP, 1),
        ("detokenize", None),
    ]
    assert log.calls == [(event, *section) for section in order for event in ("open", "close")]
    assert [wall for _, _, wall in _times(sections)] == [2, 3, 10, 1, 4]
    gaps = {later.begin.time_ns - earlier.end.time_ns for earlier, later in pairwise(sections)}
    assert gaps == {2 * busy_ns}


def test_a_failed_request_is_forgotten(clock: Clock) -> None:
    log, model = Log(clock, 0), Model(clock)
    probe = _probe(clock, closing=log.closing)
    probe.attach(model)
    model.fails = True
    with pytest.raises(ArithmeticError):
        _generate(model, probe, 7)
    probe.abort()
    assert log.calls[-1] == ("close", STEP, 0)
    probe.detach()
    assert _hooks(model) == 0
    assert probe.finish() == []
    probe.abort()
    assert len(log.calls) == 3


def test_detached_hooks_are_gone_and_what_was_there_stays(clock: Clock) -> None:
    model, probe = Model(clock), _probe(clock)
    seen: list[int] = []
    model.register_forward_hook(lambda *_: seen.append(1))
    probe.attach(model)
    assert _hooks(model) == 3
    with pytest.raises(RuntimeError):
        probe.attach(model)
    assert _hooks(model) == 3
    probe.detach()
    probe.detach()
    assert _hooks(model) == 1
    model(torch.zeros(1, 1))
    assert seen == [1] and probe.finish() == []
    probe.attach(model)
    probe.detach()


def test_outputs_and_exceptions_pass_unchanged(clock: Clock) -> None:
    model, probe = Model(clock), _probe(clock)
    probe.attach(model)
    given = torch.zeros(1, 3)
    assert model(given) is given
    model.fails = True
    with pytest.raises(ArithmeticError, match=r"^no$"):
        model(given)


@pytest.mark.parametrize(
    ("args", "kwargs", "shape"),
    [
        ((torch.zeros(2, 5),), {}, (2, 5)),
        ((), {"input_ids": torch.zeros(3, 1)}, (3, 1)),
        ((), {"input_ids": None, "inputs_embeds": torch.zeros(2, 4, 8)}, (2, 4)),
        ((), {}, (0, 0)),
        ((torch.zeros(4),), {}, (0, 0)),
        (("text",), {}, (0, 0)),
    ],
)
def test_the_shape_of_a_call(
    clock: Clock, args: tuple[Any, ...], kwargs: dict[str, Any], shape: tuple[int, int]
) -> None:
    class Anything(nn.Module):
        def forward(self, *_: Any, **__: Any) -> None:
            return None

    model, probe = Anything(), _probe(clock)
    probe.attach(model)
    model(*args, **kwargs)
    (section,) = probe.finish()
    assert (section.batch_size, section.query_tokens) == shape


def _steps(*lengths: int) -> list[Section]:
    edge = Clock().read()
    return [Section(STEP, index, edge, edge, query_tokens=length) for index, length in enumerate(lengths)]


@pytest.mark.parametrize(
    ("lengths", "count"),
    [((), 0), ((7,), 1), ((1,), 1), ((7, 1, 1), 1), ((512, 512, 40, 1, 1), 3), ((1, 1, 1), 1), ((0, 0), 1)],
)
def test_prefill_is_one_call_or_several_chunks(lengths: tuple[int, ...], count: int) -> None:
    assert prefill_count(_steps(*lengths)) == count


def test_several_chunks_count_the_tokens_before_them(clock: Clock) -> None:
    model, probe = Model(clock), _probe(clock)
    probe.attach(model)
    _generate(model, probe, 5, 5, 2, 1)
    steps = [s for s in probe.finish() if s.name == STEP]
    assert [s.kv_tokens for s in steps] == [0, 5, 10, 12]
    assert prefill_count(steps) == 3
