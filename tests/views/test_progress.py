"""What is shown of a long work: the time that is left, one line, no flood, nothing that a name could do."""

from __future__ import annotations

import json
import sys
import threading
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from llmflame.errors import UsageError
from llmflame.progress import SILENT, Piece, Silent
from llmflame.recording import pieces
from llmflame.recording.workload import Workload
from llmflame.views import notebook_progress, watching
from llmflame.views.course import Course, clock_time, text_bar
from llmflame.views.notebook_progress import EVERY_S, NotebookProgress
from llmflame.views.terminal_progress import TerminalProgress, _Line

WORK = [
    Piece("start", 1, "start"),
    Piece("a", 10),
    Piece("b", 10),
    Piece("again", 1, "start"),
    Piece("c", 20),
]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """A display that remembers."""

    def __init__(self) -> None:
        self.made = 0
        self.data: list[dict[str, str]] = []

    def __call__(self, data: dict[str, str]) -> Shown:
        self.made += 1
        self.data.append(data)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.data.append(data)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def progress(shown: Shown, clock: Clock) -> NotebookProgress:
    return NotebookProgress(shown, clock, lambda _seconds: None)


def test_what_is_left_follows_from_what_was(clock: Clock) -> None:
    course = Course(clock)
    course.begin(WORK)
    assert course.left_s() is None and course.done_share() == 0
    course.step("start")
    clock.now += 5
    course.step("a")
    assert course.left_s() is None, "no request has ended yet"
    clock.now += 20
    course.step("b")
    # b 20 s, another start 5 s, c 40 s
    assert course.left_s() == pytest.approx(65)
    clock.now += 8
    assert course.left_s() == pytest.approx(57)
    assert course.done_share() == pytest.approx(33 / 90)
    assert course.when() == "0:33, about 0:57 left"
    clock.now += 100
    assert course.left_s() == pytest.approx(45), "b is about to end"
    course.step("c")
    assert course.what() == "5/5 c"
    clock.now += 1_000
    assert course.when() == "18:53, nearly done"


def test_an_unknown_piece_is_a_message(clock: Clock) -> None:
    course = Course(clock)
    course.begin(WORK)
    course.step("a")
    course.step("start")
    assert course.what() == "2/5 a · start", "what is behind doesn't run again"


@pytest.mark.parametrize(
    ("seconds", "text"), [(7, "0:07"), (750, "12:30"), (3750, "1:02:30"), (59.6, "1:00")]
)
def test_times_are_read_like_a_clocks(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_a_bar_is_never_too_long() -> None:
    assert {len(text_bar(share)) for share in (-1.0, 0.0, 0.5, 1.0, 7.0)} == {20}


def test_the_pieces_of_a_recording_have_names_of_their_own() -> None:
    workload = Workload(new_tokens=64, repetitions=3)
    for deep in (False, True):
        stalls = "exact" if deep else None
        named = [piece.name for piece in pieces.in_processes(workload, host_allocations=deep, stalls=stalls)]
        assert len(set(named)) == len(named)
        assert (pieces.READING in named) is deep
    assert [piece.kind for piece in pieces.in_process(2)] == ["request"] * 7
    shortest = pieces.in_processes(Workload(new_tokens=1), host_allocations=True, stalls="continuous")
    assert all(piece.weight > 0 for piece in shortest)


def test_a_notebook_gets_one_output_and_four_updates_a_second(
    progress: NotebookProgress, shown: Shown, clock: Clock
) -> None:
    progress.begin(WORK)
    for number in range(1000):
        clock.now += 0.01
        progress(f"message {number}")
    assert shown.made == 1
    assert len(shown.data) == pytest.approx(10 / EVERY_S, abs=2)
    progress.finish()
    assert shown.data[-1]["text/plain"] == "llmflame: 0:10"
    before = len(shown.data)
    progress.finish()
    assert len(shown.data) == before and shown.made == 1
    assert max(len(json.dumps(data)) for data in shown.data) < 1_000


def test_a_notebook_shows_what_and_how_long(progress: NotebookProgress, shown: Shown, clock: Clock) -> None:
    progress.begin(WORK)
    for name in ("start", "a", "b"):
        clock.now += 1
        progress.step(name)
    assert "3/5 b" in shown.data[-1]["text/plain"] and "left" in shown.data[-1]["text/plain"]
    assert 'role="' not in shown.data[-1]["text/html"] and "<progress" in shown.data[-1]["text/html"]


def test_nothing_that_is_told_is_markup(progress: NotebookProgress, shown: Shown) -> None:
    progress("<script>alert(1)</script>\x1b[31m")
    assert "<script" not in shown.data[0]["text/html"]
    assert "&lt;script&gt;" in shown.data[0]["text/html"] and "\x1b" not in shown.data[0]["text/plain"]


def test_what_was_never_shown_ends_without_a_word(progress: NotebookProgress, shown: Shown) -> None:
    progress.finish()
    progress.tick()
    assert shown.data == []


def terminal() -> tuple[Console, StringIO]:
    stream = StringIO()
    return Console(file=stream, force_terminal=True, width=60, color_system=None), stream


def test_alone_a_terminals_line_has_no_thread() -> None:
    console, stream = terminal()
    before = threading.active_count()
    progress = TerminalProgress(console, alone=True)
    progress.begin(WORK)
    progress.step("a")
    assert threading.active_count() == before
    assert "2/5 a" in stream.getvalue()
    length = len(stream.getvalue())
    progress.finish()
    assert len(stream.getvalue()) > length, "the line is taken away"


def test_with_a_clock_of_its_own_it_ends_with_it() -> None:
    console, _ = terminal()
    before = set(threading.enumerate())
    progress = TerminalProgress(console)
    progress("[bold]x[/]\x1b[31m")
    (drawing,) = set(threading.enumerate()) - before
    progress.finish()
    progress.finish()
    drawing.join(60)
    assert not drawing.is_alive()


@pytest.mark.parametrize("width", [10, 30, 60, 200])
def test_a_line_is_one_line(width: int, clock: Clock) -> None:
    course = Course(clock)
    course.begin(WORK)
    course.step("a")
    course.message = "[red]" + "x" * 500 + "\n\x1b[31m"
    stream = StringIO()
    Console(file=stream, width=width, color_system=None, markup=False).print(_Line(course))
    text = stream.getvalue()
    assert text.count("\n") == 1 and cell_len(text.rstrip("\n")) <= width and "\x1b" not in text


def test_a_person_who_watches_gets_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watching.progress_for(None, alone=True) is SILENT
    assert watching.progress_for(False, alone=True) is SILENT
    assert watching.progress_for(True, alone=True) is SILENT, "in a pipe nobody watches"
    own = Silent()
    assert watching.progress_for(own, alone=True) is own
    with pytest.raises(UsageError, match="progress is"):
        watching.progress_for("yes", alone=True)  # type: ignore[arg-type]
    monkeypatch.setattr(watching, "in_notebook", lambda: True)
    assert isinstance(watching.progress_for(None, alone=True), NotebookProgress)
    assert watching.progress_for(False, alone=True) is SILENT


def test_a_notebook_is_known_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shell:
        kernel: object | None = None

    class IPython:
        shell = Shell()

        @classmethod
        def get_ipython(cls) -> Shell:
            return cls.shell

    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not notebook_progress.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    assert not notebook_progress.in_notebook(), "a terminal's IPython has no kernel"
    IPython.shell.kernel = object()
    assert notebook_progress.in_notebook()
