"""Progress is told between requests: none of what it does is inside one that is measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import llmflame
from llmflame.progress import Piece
from llmflame.recording import live, passes, pieces
from llmflame.recording.gauge_feed import GaugeThread
from llmflame.recording.supervisor import PassRunner, _Told


class Told:
    """Remembers what it was told, and what of it while a request was open."""

    def __init__(self) -> None:
        self.open = 0
        self.calls: list[str] = []
        self.inside: list[str] = []
        self.pieces: list[str] = []
        self.finished = 0

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.open:
            self.inside.append(call)

    def __call__(self, message: str, /) -> None:
        self._note(message)

    def begin(self, pieces: Sequence[Piece]) -> None:
        self._note("begin")
        self.pieces = [piece.name for piece in pieces]

    def step(self, name: str) -> None:
        self._note(name)

    def tick(self) -> None:
        self._note("tick")

    def finish(self) -> None:
        self._note("finish")
        self.finished += 1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    made, request = Told(), passes.request

    @contextlib.contextmanager
    def watched(*arguments: Any) -> Iterator[Any]:
        made.open += 1
        try:
            with request(*arguments) as probe:
                yield probe
        finally:
            made.open -= 1

    monkeypatch.setattr(passes, "request", watched)
    return made


def test_nothing_is_told_inside_a_request(told: Told, tmp_path: Path) -> None:
    model, opened = torch.nn.Linear(2, 2), 0
    with live.Recorder(model, tmp_path / "a.llmflame", repetitions=2, progress=told) as recorder:
        for _ in recorder.passes():
            opened += told.open
            model(torch.ones(1, 2))
    assert opened == 6, "each pass but the warm-up was seen as an open request"
    assert told.inside == []
    assert told.calls == ["begin", *told.pieces, "finish"], "every piece that was announced was reached"


def test_what_fails_ends_its_progress(told: Told, tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    recorder = live.Recorder(model, tmp_path / "a.llmflame", progress=told)
    with contextlib.suppress(ArithmeticError), recorder:
        for _ in recorder.passes():
            raise ArithmeticError
    assert told.finished == 1


def test_what_is_recorded_once_tells_nothing_but_its_end(told: Told, tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    with live.Recorder(model, tmp_path / "a.llmflame", progress=told):
        model(torch.ones(1, 2))
    assert told.calls == ["finish"]


def test_the_front_doors_recorder_is_silent_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = torch.nn.Linear(2, 2)
    with llmflame.Recorder(model, tmp_path / "a.llmflame", repetitions=1) as recorder:
        for _ in recorder.passes():
            model(torch.ones(1, 2))
    assert capsys.readouterr() == ("", "")


def test_a_childs_messages_are_steps(told: Told) -> None:
    runner = PassRunner.__new__(PassRunner)
    runner._writer = None  # type: ignore[assignment]
    runner._progress = told
    runner._message(b'["progress", "warm-up"]', _Told(GaugeThread("clean", 1, origin_ns=0, interval_s=1)))
    assert told.calls == [pieces.WARMUP]
